import { describe, expect, it } from 'vitest'
import { ParameterError } from '../../../src/dicomweb/params/parameter.ts'
import { MAX_SIDE, parseRenderedParams } from '../../../src/dicomweb/params/rendered-params.ts'

const parse = (query: string, thumbnail = false): ReturnType<typeof parseRenderedParams> =>
  parseRenderedParams(new URLSearchParams(query), { thumbnail })

/** The parameter that is at fault; undefined when none is. */
function faultOf(query: string, thumbnail = false): string | undefined {
  try {
    parse(query, thumbnail)
    return undefined
  } catch (error) {
    if (!(error instanceof ParameterError)) throw error
    expect(error).toMatchObject({ code: 'INVALID_PARAMETER', name: 'ParameterError' })
    expect(error.message).toContain(error.parameter)
    return error.parameter
  }
}

const whole = {
  left: 0,
  top: 0,
  regionWidth: undefined,
  regionHeight: undefined,
  flipHorizontally: false,
  flipVertically: false,
}

describe('the parameters of rendered resources', () => {
  it.each(['', 'quality=&viewport=&window=&iccprofile=&annotation=', 'limit=3&accept=image/png'])(
    'are what is usual where nothing is said of them: %j',
    (query) => {
      expect(parse(query)).toEqual({
        annotation: { patient: false, technique: false },
        unknownAnnotations: [],
        quality: undefined,
        viewport: undefined,
        window: undefined,
        iccProfile: 'no',
      })
    },
  )

  it.each(['annotation=patient', 'quality=1', 'viewport=1,1', 'window=1,1,linear', 'iccprofile=no'])(
    'are given once each: %s',
    (parameter) => {
      expect(faultOf(parameter)).toBeUndefined()
      expect(faultOf(`${parameter}&${parameter}`)).toBe(parameter.split('=')[0])
    },
  )

  it('have names in lower case only', () => {
    expect(parse('Quality=101&WINDOW=x')).toMatchObject({ quality: undefined, window: undefined })
  })
})

describe('annotation', () => {
  it('is a list of keywords, of which those that nobody knows are kept apart', () => {
    expect(parse('annotation=technique,,weather,patient,Patient')).toMatchObject({
      annotation: { patient: true, technique: true },
      unknownAnnotations: ['weather', 'Patient'],
    })
  })
})

describe('quality', () => {
  it.each(['1', '50', '100', '050'])('is taken: %s', (text) => {
    expect(parse(`quality=${text}`).quality).toBe(Number(text))
  })

  it.each(['0', '101', '-1', '1.5', '1e1', '%2B5', ' 5', 'high', '0x10', '1000', '٣'])('is refused: %j', (text) => {
    expect(faultOf(`quality=${text}`)).toBe('quality')
  })
})

describe('viewport', () => {
  it('is a size', () => {
    expect(parse('viewport=100,50').viewport).toEqual({ ...whole, width: 100, height: 50 })
    expect(parse('viewport=100.,50.00', true).viewport).toEqual({ ...whole, width: 100, height: 50 })
  })

  it('is a size and a region', () => {
    expect(parse('viewport=100,50,10,20.5,30,40').viewport).toEqual({
      ...whole,
      width: 100,
      height: 50,
      left: 10,
      top: 20.5,
      regionWidth: 30,
      regionHeight: 40,
    })
  })

  it('has a region from the corner to the other end where its numbers are left out', () => {
    expect(parse('viewport=9,9,,,,').viewport).toEqual({ ...whole, width: 9, height: 9 })
    expect(parse('viewport=9,9,,,3,4').viewport).toEqual({
      ...whole,
      ...{ width: 9, height: 9, regionWidth: 3, regionHeight: 4 },
    })
    expect(parse('viewport=9,9,3,4,,').viewport).toEqual({ ...whole, width: 9, height: 9, left: 3, top: 4 })
  })

  it('flips by the sign of its region', () => {
    const flips = (text: string): unknown[] => {
      const { regionWidth, regionHeight, flipHorizontally, flipVertically } = parse(
        `viewport=9,9,1,1,${text}`,
      ).viewport!
      return [regionWidth, regionHeight, flipHorizontally, flipVertically]
    }
    expect(flips('-3,4')).toEqual([3, 4, true, false])
    expect(flips('3,-4')).toEqual([3, 4, false, true])
    expect(flips('-3,-4')).toEqual([3, 4, true, true])
  })

  it.each([
    ...['100', ',', '100,', ',100', '0,100', '100,0', '-100,100', '100.5,100', 'a,b', '1e2,100', ' 100,100'],
    ...['9,9,1', '9,9,1,1', '9,9,1,1,1', '9,9,1,1,1,1,1', '9,9,x,1,1,1', '9,9,1,1,1e1,1', '9,9,1.,1,1,1'],
    ...['9,9,-1,0,1,1', '9,9,0,-0.5,1,1', '9,9,0,0,0,1', '9,9,0,0,1,0', '9,9,0,0,-0,1', '9,9,NaN,0,1,1'],
    ...['9,9,0,0,Infinity,1', '9,9,0,0,1234567,1'],
  ])('is refused: %j', (text) => {
    expect(faultOf(`viewport=${text}`)).toBe('viewport')
  })

  it('has sides up to a bound', () => {
    expect(parse(`viewport=${MAX_SIDE},${MAX_SIDE}`).viewport).toMatchObject({ width: MAX_SIDE, height: MAX_SIDE })
    expect(faultOf(`viewport=${MAX_SIDE + 1},1`)).toBe('viewport')
    expect(faultOf(`viewport=1,${MAX_SIDE + 1}`)).toBe('viewport')
  })

  it('of a thumbnail has no region', () => {
    expect(parse('viewport=256,256', true).viewport).toMatchObject({ width: 256, height: 256 })
    expect(faultOf('viewport=256,256,0,0,9,9', true)).toBe('viewport')
    expect(faultOf('viewport=256,256,,,,', true)).toBe('viewport')
  })
})

describe('window', () => {
  it.each([
    ['40,400,linear', 40, 400, 'linear'],
    ['-40.5,.5,linear-exact', -40.5, 0.5, 'linear-exact'],
    ['1e3,0.001,sigmoid', 1000, 0.001, 'sigmoid'],
    ['%2B2.,1,linear', 2, 1, 'linear'],
  ])('is taken: %s', (text, center, width, kind) => {
    expect(parse(`window=${text}`).window).toEqual({ center, width, function: kind })
  })

  it.each([
    ...['40,400', '40', '40,400,', '40,,linear', ',400,linear', '40,400,linear,1', '40,400,LINEAR', '40,400,cubic'],
    ...['40,400,linear_exact', '40,0,linear', '40,0.5,linear', '40,0,linear-exact', '40,-1,sigmoid', 'x,400,linear'],
    ...['40,x,linear', 'NaN,400,linear', '40,Infinity,linear', '40,0x10,linear', '40,1e1234,linear', ' 40,400,linear'],
    ...['.,400,linear', '40;400;linear', '--40,400,linear'],
  ])('is refused: %j', (text) => {
    expect(faultOf(`window=${text}`)).toBe('window')
  })
})

describe('iccprofile', () => {
  it.each(['no', 'yes', 'srgb'])('is taken: %s', (text) => {
    expect(parse(`iccprofile=${text}`).iccProfile).toBe(text)
  })

  it.each(['adobergb', 'rommrgb', 'displayp3', 'YES', 'true'])('is refused: %s', (text) => {
    expect(faultOf(`iccprofile=${text}`)).toBe('iccprofile')
  })
})
