import { describe, expect, it } from 'vitest'
import { Attribute } from '../../../src/dicom/attributes.ts'
import { encodeDataset } from '../../../src/dicom/dataset-codec.ts'
import { EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN } from '../../../src/dicom/transfer-syntax.ts'
import { PART_HOLD_BYTES } from '../../../src/http/retrieve/delivery.ts'
import { get, type Answer } from '../../e2e/http.ts'
import { element, explicitLittle, hex, implicitLittle, itemEnd, pixelSequence } from '../../support/dicom-bytes.ts'
import { gatewayTo } from '../../support/gateway-to.ts'
import { CT, getResponse, readRequest, storeRequest } from '../../support/golden.ts'
import { keeper } from '../../support/kept.ts'
import { failOnLeaks } from '../../support/leaks.ts'
import { readParts } from '../../support/multipart.ts'
import { splitPart10 } from '../../support/part10.ts'
import { published } from '../../support/published.ts'
import { listing, ScriptedArchive } from '../../support/scripted-archive.ts'
import { SERIES, sliceDataset, sliceUid, STUDY, type SliceShape } from '../../support/slices.ts'

// What is damaged at the archive costs itself, and nothing else.

failOnLeaks()

const kept = keeper()
const events = published('dimsegate:request')

const FILES = 'multipart/related; type="application/dicom"; transfer-syntax=*'
const OCTETS = 'multipart/related; type="application/octet-stream"; transfer-syntax=*'
const JSON_TYPE = 'application/dicom+json'
const JPEG = '1.2.840.10008.1.2.4.50'
const IMPLICIT = '1.2.840.10008.1.2'
const INSTANCE = `/studies/${STUDY}/series/${SERIES}/instances/${sliceUid(2)}`

/** What comes for a slice by its number, the first time, the second time and so on; undefined: it fails. */
type Bytes = (number: number, times: number, shape: SliceShape) => Buffer | undefined

const slice = (number: number, size = 64): Buffer =>
  Buffer.from(encodeDataset(sliceDataset({ number, size }), EXPLICIT_VR_LITTLE_ENDIAN))

/** Its data set without the last bytes. */
const cut = (number: number, size = 64): Buffer => slice(number, size).subarray(0, -10)

interface Setup {
  readonly url: string
  /** The numbers of the instances that each C-GET asked for by name; none for the whole. */
  readonly asked: readonly (readonly string[])[]
}

/** A gateway in front of an archive of so many slices, or of these. */
async function holding(slices: number | readonly SliceShape[], bytes: Bytes, syntax?: string): Promise<Setup> {
  const shapes =
    typeof slices === 'number' ? Array.from({ length: slices }, (_, n): SliceShape => ({ number: n + 1 })) : slices
  const times = new Map<SliceShape, number>()
  const asked: string[][] = []
  const archive = kept(
    await ScriptedArchive.start({
      // The syntax alone where it is offered beside others.
      associate: (request) => ({
        answers: Object.fromEntries(
          readRequest(request)
            .contexts.filter(({ transferSyntaxes }) => transferSyntaxes.includes(syntax ?? ''))
            .map(({ id }) => [id, syntax!]),
        ),
      }),
      find: listing(shapes),
      get: async (association, { contextId, messageId, identifier }) => {
        const named = identifier.strings(Attribute.SOPInstanceUID)
        const series = identifier.string(Attribute.SeriesInstanceUID)
        asked.push(named.map((uid) => uid.slice(SERIES.length + 1)))
        let [completed, failed] = [0, 0]
        for (const shape of shapes) {
          const dataset = sliceDataset(shape)
          const sopInstance = dataset.string(Attribute.SOPInstanceUID)!
          if (named.length > 0 && !named.includes(sopInstance)) continue
          if (series !== undefined && series !== dataset.string(Attribute.SeriesInstanceUID)) continue
          times.set(shape, (times.get(shape) ?? 0) + 1)
          const data = bytes(shape.number!, times.get(shape)!, shape)
          if (!data) {
            failed++
            continue
          }
          const { id } = association.context(CT, syntax)
          await association.peer.send(storeRequest({ sopInstance, data, contextId: id, fragments: [16_000] }))
          const answer = await association.next()
          if (typeof answer === 'string') return
          completed++
        }
        const end = { contextId, messageId, completed, failed, ...(failed > 0 && { status: 0xb000 }) }
        await association.peer.send(getResponse(end))
      },
    }),
  )
  return { url: kept(await gatewayTo(archive.address)).url, asked }
}

function uidsOf({ headers, body }: Answer): string[] {
  return readParts(headers.get('content-type')!, body).map((part) => splitPart10(part.body).sopInstance)
}

const uids = (...numbers: number[]): string[] => numbers.map((number) => sliceUid(number))

function codeOf({ status, body }: Answer): string {
  return `${status} ${(JSON.parse(body.toString()) as { code: string }).code}`
}

describe('a study with an instance whose pixel data is cut short', () => {
  it('is a 206 of the others, and says why in its header', async () => {
    const { url, asked } = await holding(3, (number) => (number === 2 ? cut(2) : slice(number)))
    const answer = await get(`${url}/studies/${STUDY}`, FILES)
    expect(answer.status).toBe(206)
    expect(uidsOf(answer)).toEqual(uids(1, 3))
    expect(answer.headers.get('warning')).toMatch(/^299 \S+: An instance came damaged from the archive\. The data ends/)
    expect(events.at(-1)).toMatchObject({ status: 206, cut: false, error: { code: 'DAMAGED_INSTANCE' } })
    // Once more, in case it was the transfer that damaged it.
    expect(asked).toEqual([[], ['2']])
  })

  it('gives all the others also where the status line is out, and is then a 206 that ends in order', async () => {
    let isDamaged = true
    const damaged: Bytes = (n) => (n === 9 && isDamaged ? cut(n, 40_000) : slice(n, 40_000))
    const { url } = await holding(12, damaged)
    await expect(get(`${url}/studies/${STUDY}`, FILES)).rejects.toThrow()
    const again = await get(`${url}/studies/${STUDY}`, FILES)
    expect([again.status, uidsOf(again)]).toEqual([206, uids(1, 2, 3, 4, 5, 6, 7, 8, 10, 11, 12)])
    expect(again.headers.get('warning')).toContain('damaged')
    // In another form it was not asked for yet.
    await expect(get(`${url}/studies/${STUDY}`, `${FILES}, */*;q=0.1`)).rejects.toThrow()
    isDamaged = false
    const repaired = await get(`${url}/studies/${STUDY}`, FILES)
    expect([repaired.status, uidsOf(repaired).length]).toEqual([206, 12])
    expect((await get(`${url}/studies/${STUDY}`, FILES)).status).toBe(200)
  })

  it('leaves one out that is larger than what is held back, once that is known', async () => {
    const size = 2 * PART_HOLD_BYTES
    const { url } = await holding(3, (number) => (number === 2 ? cut(2, size) : slice(number)))
    await expect(get(`${url}/studies/${STUDY}`, FILES)).rejects.toThrow()
    const again = await get(`${url}/studies/${STUDY}`, FILES)
    expect([again.status, uidsOf(again)]).toEqual([206, uids(1, 3)])
  })

  it('is whole where it comes whole when it is asked for again', async () => {
    const { url, asked } = await holding(3, (number, times) => (number === 2 && times === 1 ? cut(2) : slice(number)))
    const answer = await get(`${url}/studies/${STUDY}`, FILES)
    expect([answer.status, uidsOf(answer)]).toEqual([200, uids(1, 3, 2)])
    expect(answer.headers.get('warning')).toBeNull()
    expect(asked).toEqual([[], ['2']])
  })

  it('is not whole where it came damaged, then whole, and another of its UID never came', async () => {
    const instance = sliceUid(7)
    const shapes = [{ number: 1 }, { number: 7, instance }, { number: 8, series: `${STUDY}.2`, instance }]
    const bytes: Bytes = (number, times, shape) => {
      if (number === 8) return undefined
      const whole = Buffer.from(encodeDataset(sliceDataset(shape), EXPLICIT_VR_LITTLE_ENDIAN))
      return number === 7 && times === 1 ? whole.subarray(0, -10) : whole
    }
    for (const resource of ['', '/metadata']) {
      const { url } = await holding(shapes, bytes)
      const answer = await get(`${url}/studies/${STUDY}${resource}`, resource === '' ? FILES : JSON_TYPE)
      expect(answer.status).toBe(206)
      expect(answer.headers.get('warning')).toContain('1 did not')
    }
  })

  it('is a 206 for who has asked for the same, and nobody else', async () => {
    const { url } = await holding(12, (n) => (n === 9 ? cut(n, 40_000) : slice(n, 40_000)))
    await expect(get(`${url}/studies/${STUDY}/pixeldata?one=1`, OCTETS)).rejects.toThrow()
    expect((await get(`${url}/studies/${STUDY}/pixeldata?one=1`, OCTETS)).status).toBe(206)
    await expect(get(`${url}/studies/${STUDY}/pixeldata?other=1`, OCTETS)).rejects.toThrow()
  })

  it('has all of its metadata', async () => {
    const { url } = await holding(3, (number) => (number === 2 ? cut(2) : slice(number)))
    const { status, body } = await get(`${url}/studies/${STUDY}/metadata`, JSON_TYPE)
    const found = JSON.parse(body.toString()) as Record<string, { Value: unknown[] }>[]
    expect([status, found.map((one) => one['00080018']!.Value[0])]).toEqual([200, uids(1, 2, 3)])
    expect(found[1]).toHaveProperty('7FE00010')
  })

  it('gives the bulk data of the others', async () => {
    const { url } = await holding(3, (number) => (number === 2 ? cut(2) : slice(number)))
    for (const resource of ['bulkdata', 'pixeldata']) {
      const { status, headers, body } = await get(`${url}/studies/${STUDY}/${resource}`, OCTETS)
      const values = readParts(headers.get('content-type')!, body).map((part) => part.body[0])
      expect([status, values]).toEqual([206, [1, 3]])
    }
  })

  it('is an error of the instance itself, that says where', async () => {
    const { url } = await holding(3, (number) => (number === 2 ? cut(2) : slice(number)))
    for (const accept of [FILES, 'application/dicom']) {
      const answer = await get(url + INSTANCE, accept)
      expect(codeOf(answer)).toBe('502 DAMAGED_INSTANCE')
      const { detail } = JSON.parse(answer.body.toString()) as { detail: string }
      expect(detail).toMatch(/The data ends 10 bytes before the end of a value, byte \d+ of the data set$/)
    }
  })
})

describe('an instance whose head is damaged', () => {
  /** A private sequence whose item is longer than it: what is behind it makes no sense. */
  function broken(encoding: typeof explicitLittle): Buffer {
    const syntax = encoding.explicit ? EXPLICIT_VR_LITTLE_ENDIAN : IMPLICIT_VR_LITTLE_ENDIAN
    const all = Buffer.from(encodeDataset(sliceDataset({ number: 2 }), syntax))
    const at = all.indexOf(hex('28001000'))
    // (0021,1001) SQ of 16 bytes, with an item of 64.
    const sequence = encoding.explicit ? '21000110 5351 0000 10000000' : '21000110 10000000'
    const inside = hex(encoding.explicit ? '' : '21001000 04000000 41434d45')
    return Buffer.concat([
      all.subarray(0, at),
      inside,
      hex(sequence),
      hex('feff00e0 40000000'),
      Buffer.alloc(8),
      all.subarray(at),
    ])
  }

  it('has its metadata up to the damage, beside the others', async () => {
    const { url } = await holding(3, (number) => (number === 2 ? broken(explicitLittle) : slice(number)))
    const { status, headers, body } = await get(`${url}/studies/${STUDY}/metadata`, JSON_TYPE)
    expect(status).toBe(206)
    expect(headers.get('warning')).toContain('An instance came damaged')
    const found = JSON.parse(body.toString()) as object[]
    expect(found).toHaveLength(3)
    expect(found[1]).toMatchObject({
      '00080018': { Value: uids(2) },
      '00100010': { Value: [{ Alphabetic: 'Doe^Jane' }] },
    })
    expect(found[1]).not.toHaveProperty('00280010')
    expect(found[1]).not.toHaveProperty('00211001')
    expect(found[2]).toHaveProperty('00280010')
  })

  it('passes as it is, where it need not be rewritten, and has no frames', async () => {
    const bytes = broken(explicitLittle)
    const { url } = await holding(3, (number) => (number === 2 ? bytes : slice(number)))
    const answer = await get(`${url}/studies/${STUDY}`, FILES)
    expect([answer.status, uidsOf(answer)]).toEqual([200, uids(1, 2, 3)])
    expect(answer.body.includes(bytes)).toBe(true)
    expect(codeOf(await get(`${url}${INSTANCE}/frames/1`, OCTETS))).toBe('502 DAMAGED_INSTANCE')
    const pixels = await get(`${url}/studies/${STUDY}/pixeldata`, OCTETS)
    expect([pixels.status, readParts(pixels.headers.get('content-type')!, pixels.body)]).toMatchObject([
      206,
      { length: 2 },
    ])
  })

  it('is left out where it is to be rewritten', async () => {
    const stray = (all: Buffer): Buffer =>
      Buffer.concat([all.subarray(0, -72), itemEnd(implicitLittle), all.subarray(-72)])
    const implicit = (number: number): Buffer =>
      Buffer.from(encodeDataset(sliceDataset({ number }), IMPLICIT_VR_LITTLE_ENDIAN))
    for (const damaged of [stray(implicit(2)), implicit(2).subarray(0, -80)]) {
      const { url } = await holding(3, (number) => (number === 2 ? damaged : implicit(number)), IMPLICIT)
      const answer = await get(`${url}/studies/${STUDY}`, FILES)
      expect([answer.status, uidsOf(answer)]).toEqual([206, uids(1, 3)])
      const metadata = await get(`${url}${INSTANCE}/metadata`, JSON_TYPE)
      expect(metadata.status).toBe(206)
      expect(JSON.parse(metadata.body.toString())).toMatchObject([{ '00280010': { Value: [1] } }])
    }
  })
})

describe('frames of a damaged instance', () => {
  const FRAME = 600
  const NONE = Buffer.alloc(0)
  const J = (n: number, size = FRAME): Buffer => Buffer.concat([hex('FFD8'), Buffer.alloc(size - 4, n), hex('FFD9')])

  function image(frames: number, pixels: Buffer): Buffer {
    const dataset = sliceDataset({ number: 2, size: FRAME }).set(Attribute.NumberOfFrames, String(frames))
    const head = Buffer.from(encodeDataset(dataset, EXPLICIT_VR_LITTLE_ENDIAN))
    return Buffer.concat([head.subarray(0, head.indexOf(hex('E07F1000'))), pixels])
  }

  it('are given as far as they are whole, from one retrieval', async () => {
    const value = Buffer.concat([1, 2, 3, 4].map((n) => Buffer.alloc(FRAME, n)))
    const whole = image(4, element(explicitLittle, Attribute.PixelData, 'OB', value))
    const { url, asked } = await holding(2, (n) => (n === 2 ? whole.subarray(0, -FRAME - 1) : slice(n)))
    for (const n of [1, 2, 1]) {
      const { status, body } = await get(`${url}${INSTANCE}/frames/${n}`, OCTETS)
      expect([status, body.includes(Buffer.alloc(FRAME, n))]).toEqual([200, true])
    }
    for (const n of [3, 4])
      expect(codeOf(await get(`${url}${INSTANCE}/frames/${n}`, OCTETS))).toBe('502 DAMAGED_INSTANCE')
    expect(codeOf(await get(`${url}${INSTANCE}/frames/5`, OCTETS))).toBe('404 NO_SUCH_FRAME')
    // Once, and once more since it was damaged.
    expect(asked).toEqual([['2'], ['2']])
  })

  it('are given together from the first one on, and then the answer says that there are more', async () => {
    const big = (n: number): Buffer => J(n, 70_000)
    const pixels = pixelSequence(explicitLittle, 'OB', NONE, big(1), big(2), big(3))
    const { url } = await holding(2, (n) => (n === 2 ? image(3, pixels).subarray(0, -100) : slice(n)), JPEG)
    const target = `${url}${INSTANCE}/pixeldata`
    const first = await get(target, OCTETS).then(
      ({ status }) => status,
      () => 'cut',
    )
    expect([206, 'cut']).toContain(first)
    const { status, headers, body } = await get(target, OCTETS)
    const given = readParts(headers.get('content-type')!, body).map(
      (part) => part.body.equals(big(1)) || part.body.equals(big(2)),
    )
    expect([status, given]).toEqual([206, [true, true]])
  })

  it.each([
    ['one, whose end is there', 1, [J(1)], 8, [1]],
    ['one, whose end is there in its second fragment', 1, [J(1).subarray(0, 300), J(1).subarray(300)], 8, [1]],
    ['one, whose last fragment may be missing', 1, [J(1).subarray(0, 300)], 8, []],
    ['several, one fragment each', 3, [J(1), J(2), J(3)], 8, [1, 2, 3]],
    ['several, the last of which is cut', 3, [J(1), J(2), J(3)], 9 + 100, [1, 2]],
    ['several, the last of which are missing', 3, [J(1), J(2)], 8, [1, 2]],
    // Empty ones count as frames, or do not: that depends on how many there are in all.
    ['several, one of them empty', 5, [J(1), NONE, J(3), J(4), J(5)], 8 + 100, [1]],
    ['several, of unknown fragments', 2, [J(1).subarray(0, 300), J(1).subarray(300), J(2)], 8, []],
  ])(
    'without an end of the fragments are given where they are whole: %s',
    async (_, frames, fragments, less, whole) => {
      const pixels = pixelSequence(explicitLittle, 'OB', NONE, ...fragments)
      const { url } = await holding(2, (n) => (n === 2 ? image(frames, pixels).subarray(0, -less) : slice(n)), JPEG)
      for (let n = 1; n <= frames; n++) {
        const answer = await get(`${url}${INSTANCE}/frames/${n}`, OCTETS)
        if (whole.includes(n)) expect([answer.status, answer.body.includes(J(n))]).toEqual([200, true])
        else expect(codeOf(answer)).toBe('502 CORRUPT_FRAGMENTS')
      }
      expect(codeOf(await get(`${url}${INSTANCE}`, 'application/dicom; transfer-syntax=*'))).toBe(
        '502 DAMAGED_INSTANCE',
      )
    },
  )
})

describe('pictures of a study with a damaged instance', () => {
  function picture(number: number): Buffer {
    const dataset = sliceDataset({ number, size: 64 })
      .set(Attribute.SamplesPerPixel, 1)
      .set(Attribute.PhotometricInterpretation, 'MONOCHROME2')
      .set(Attribute.BitsStored, 8)
      .set(Attribute.HighBit, 7)
      .set(Attribute.PixelRepresentation, 0)
    return Buffer.from(encodeDataset(dataset, EXPLICIT_VR_LITTLE_ENDIAN))
  }
  const bytes: Bytes = (number) => (number === 2 ? picture(2).subarray(0, -10) : picture(number))

  it('are those of the others', async () => {
    const { url } = await holding(3, bytes)
    const { status, headers, body } = await get(
      `${url}/studies/${STUDY}/rendered`,
      'multipart/related; type="image/png"',
    )
    expect([status, readParts(headers.get('content-type')!, body).length]).toEqual([206, 2])
    expect(headers.get('warning')).toContain('An instance came damaged')
  })

  it('of itself are an error, by every service', async () => {
    const { url } = await holding(3, bytes)
    const uri = `${url}/wado?requestType=WADO&studyUID=${STUDY}&seriesUID=${SERIES}&objectUID=${sliceUid(2)}`
    for (const target of [
      `${url}${INSTANCE}/rendered`,
      `${url}${INSTANCE}/thumbnail`,
      uri,
      `${uri}&contentType=application/dicom`,
    ]) {
      expect((await get(target)).status).toBe(502)
    }
  })
})
