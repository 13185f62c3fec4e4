import { describe, expect, it } from 'vitest'
import { ParameterError } from '../../../src/dicomweb/params/parameter.ts'
import { parseUriParams, UnsupportedUriParamError } from '../../../src/dicomweb/params/uri-params.ts'

const parse = (query = ''): ReturnType<typeof parseUriParams> =>
  parseUriParams(new URLSearchParams(`requestType=WADO&${query}`))

/** Code and parameter of the fault; undefined when there is none. */
function faultOf(query: string, all = `requestType=WADO&${query}`): string | undefined {
  try {
    parseUriParams(new URLSearchParams(all))
    return undefined
  } catch (error) {
    if (!(error instanceof ParameterError || error instanceof UnsupportedUriParamError)) throw error
    expect(error.message).toContain(error.parameter)
    return `${error.code} ${error.parameter}`
  }
}

const invalid = (name: string): string => `INVALID_PARAMETER ${name}`
const unsupported = (name: string): string => `UNSUPPORTED_PARAMETER ${name}`

describe('the parameters of the URI service', () => {
  it.each(['', 'rows=&columns=&region=&windowCenter=&windowWidth=&imageQuality=&frameNumber=&anonymize=&annotation='])(
    'may be left out, or empty: %j',
    (query) => {
      expect(parse(query)).toEqual({
        transferSyntax: undefined,
        rows: undefined,
        columns: undefined,
        region: undefined,
        window: undefined,
        quality: undefined,
        frameNumber: undefined,
        annotation: [],
      })
    },
  )

  it('are read', () => {
    expect(
      parse(
        'rows=100&columns=200&region=0,0.25,0.5,1&windowCenter=-40&windowWidth=1&imageQuality=75&frameNumber=3' +
          '&annotation=patient,technique&transferSyntax=1.2.840.10008.1.2.4.50',
      ),
    ).toEqual({
      transferSyntax: '1.2.840.10008.1.2.4.50',
      rows: 100,
      columns: 200,
      region: { left: 0, top: 0.25, right: 0.5, bottom: 1 },
      window: { center: -40, width: 1, function: 'linear' },
      quality: 75,
      frameNumber: 3,
      annotation: ['patient', 'technique'],
    })
  })

  it('say WADO', () => {
    expect(faultOf('', '')).toBe(invalid('requestType'))
    expect(faultOf('', 'requestType=wado')).toBe(invalid('requestType'))
    expect(faultOf('', 'RequestType=WADO')).toBe(invalid('requestType'))
    expect(faultOf('', 'requestType=WADO&requestType=WADO')).toBe(invalid('requestType'))
  })

  it('have names whose case counts', () => {
    expect(parse('Rows=1&FRAMENUMBER=x')).toMatchObject({ rows: undefined, frameNumber: undefined })
  })

  it.each([
    ...['rows', 'columns', 'windowCenter', 'windowWidth', 'imageQuality', 'frameNumber', 'region', 'transferSyntax'],
    ...['annotation', 'anonymize', 'presentationUID', 'presentationSeriesUID'],
  ])('are given once each: %s', (name) => {
    expect(faultOf(`${name}=1&${name}=1`)).toBe(invalid(name))
  })

  it.each([
    ['windowCenter=40', 'windowCenter'],
    ['windowWidth=400', 'windowCenter'],
  ])('belong together in pairs: %s', (query, name) => {
    expect(faultOf(query)).toBe(invalid(name))
  })

  it.each(['0', '-1', '1.5', 'x', '1e2', '16385', '1234567890'])(
    'have a whole number of rows and columns, not %s',
    (n) => {
      expect(faultOf(`rows=${n}&columns=1`)).toBe(invalid('rows'))
      expect(faultOf(`rows=1&columns=${n}`)).toBe(invalid('columns'))
    },
  )

  it.each(['0', '101', '-1', '7.5', 'best'])('have a quality from 1 to 100, not %s', (quality) => {
    expect(faultOf(`imageQuality=${quality}`)).toBe(invalid('imageQuality'))
  })

  it.each(['0', '-1', '1.5', 'first', '1,2'])('have a frame counted from 1, not %s', (frame) => {
    expect(faultOf(`frameNumber=${frame}`)).toBe(invalid('frameNumber'))
  })

  it.each([
    ['windowCenter=x&windowWidth=1', 'windowCenter'],
    ['windowCenter=1&windowWidth=x', 'windowWidth'],
    ['windowCenter=1&windowWidth=0.5', 'windowWidth'],
    ['windowCenter=1&windowWidth=-1', 'windowWidth'],
    ['windowCenter=NaN&windowWidth=1', 'windowCenter'],
    ['windowCenter=1&windowWidth=Infinity', 'windowWidth'],
  ])('have a window of numbers: %s', (query, name) => {
    expect(faultOf(query)).toBe(invalid(name))
  })

  it.each([
    ...[
      '0,0,1',
      '0,0,1,1,1',
      '0.5,0,0.5,1',
      '0,0.6,1,0.5',
      '-0.1,0,1,1',
      '0,0,1.1,1',
      '0,0,1,1.01',
      'a,b,c,d',
      '0,0,,1',
    ],
    '0;0;1;1',
  ])('have a region within the image: %j is none', (region) => {
    expect(faultOf(`region=${region}`)).toBe(invalid('region'))
  })

  it.each(['abc', '1..2', '1.2.', '**', `1.${'2'.repeat(63)}`])(
    'have a transfer syntax that is a UID, not %s',
    (uid) => {
      expect(faultOf(`transferSyntax=${uid}`)).toBe(invalid('transferSyntax'))
    },
  )

  it.each(['yes', 'no', 'anything'])('never pass over anonymize=%s', (value) => {
    expect(faultOf(`anonymize=${value}`)).toBe(unsupported('anonymize'))
  })

  it('never pass over a presentation state', () => {
    expect(faultOf('presentationUID=1.2')).toBe(invalid('presentationUID'))
    expect(faultOf('presentationSeriesUID=1.2')).toBe(invalid('presentationUID'))
    expect(faultOf('presentationUID=1.2&presentationSeriesUID=1.3')).toBe(unsupported('presentationUID'))
    const both = 'presentationUID=1.2&presentationSeriesUID=1.3&windowCenter=1&windowWidth=1'
    expect(faultOf(both)).toBe(invalid('presentationUID'))
  })
})
