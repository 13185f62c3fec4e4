import { describe, expect, it } from 'vitest'
import { Attribute } from '../../../src/dicom/attributes.ts'
import { encodeDataset } from '../../../src/dicom/dataset-codec.ts'
import { EXPLICIT_VR_LITTLE_ENDIAN } from '../../../src/dicom/transfer-syntax.ts'
import { get } from '../../e2e/http.ts'
import { element, explicitLittle, hex, pixelSequence } from '../../support/dicom-bytes.ts'
import { gatewayTo } from '../../support/gateway-to.ts'
import { CT, getResponse, storeRequest } from '../../support/golden.ts'
import { keeper } from '../../support/kept.ts'
import { failOnLeaks } from '../../support/leaks.ts'
import { listing, ScriptedArchive } from '../../support/scripted-archive.ts'
import { SERIES, sliceDataset, sliceUid, STUDY } from '../../support/slices.ts'

// Data sets that are not as the standard has them, and can be read all the same.

failOnLeaks()

const kept = keeper()
const JPEG = '1.2.840.10008.1.2.4.50'
const INSTANCE = `/studies/${STUDY}/series/${SERIES}/instances/${sliceUid(1)}`
const JSON_TYPE = 'application/dicom+json'
const OCTETS = 'multipart/related; type="application/octet-stream"; transfer-syntax=*'

/** The slice as it is encoded, and its pixel data at the end of it. */
function slice(): { head: Buffer; all: Buffer } {
  const dataset = sliceDataset()
  const all = Buffer.from(encodeDataset(dataset, EXPLICIT_VR_LITTLE_ENDIAN))
  const at = all.indexOf(hex('E07F1000'))
  return { head: at < 0 ? all : all.subarray(0, at), all }
}

/** A gateway in front of an archive that gives these bytes for the slice. */
async function giving(bytes: Buffer, syntax?: string): Promise<string> {
  const archive = kept(
    await ScriptedArchive.start({
      find: listing([{ number: 1 }]),
      get: async (association, { contextId, messageId }) => {
        const { id } = association.context(CT, syntax)
        await association.peer.send(storeRequest({ sopInstance: sliceUid(1), data: bytes, contextId: id }))
        await association.next()
        await association.peer.send(getResponse({ contextId, messageId, completed: 1, failed: 0 }))
      },
    }),
  )
  return kept(await gatewayTo(archive.address)).url
}

/** Every element as UN, as some converters write it. */
function asUnknown(): Buffer {
  const elements = [...sliceDataset().entries()].map(([t, { vr, value }]) =>
    element(explicitLittle, t, t === Attribute.PixelData ? vr : 'UN', value as Uint8Array),
  )
  return Buffer.concat(elements)
}

describe('an instance whose elements are all UN', () => {
  it('is found by its UIDs, and has its VRs in metadata', async () => {
    const url = await giving(asUnknown())
    const { status, body } = await get(`${url}${INSTANCE}/metadata`, JSON_TYPE)
    expect(status).toBe(200)
    expect(JSON.parse(body.toString())).toMatchObject([
      {
        '0020000D': { vr: 'UI', Value: [STUDY] },
        '00100010': { vr: 'PN', Value: [{ Alphabetic: 'Doe^Jane' }] },
        '00200013': { vr: 'IS', Value: [1] },
      },
    ])
    const download = await get(`${url}/studies/${STUDY}`, 'multipart/related; type="application/dicom"')
    expect(download.status).toBe(200)
    expect(download.body.includes(asUnknown())).toBe(true)
  })
})

describe('an instance whose tags do not ascend', () => {
  it('is given like any other', async () => {
    const { all } = slice()
    const at = all.indexOf(hex('20000D00'))
    const disordered = Buffer.concat([
      all.subarray(0, at),
      element(explicitLittle, 0x00290010, 'LO', 'ACME'),
      all.subarray(at),
    ])
    const url = await giving(disordered)
    expect((await get(`${url}${INSTANCE}`, 'application/dicom')).body.includes(disordered)).toBe(true)
    const { body } = await get(`${url}${INSTANCE}/metadata`, JSON_TYPE)
    expect(JSON.parse(body.toString())).toMatchObject([
      { '00290010': { Value: ['ACME'] }, '0020000D': { Value: [STUDY] } },
    ])
  })
})

describe('an instance with NULs where the fragments should be delimited', () => {
  it('gives the frame that is complete', async () => {
    const { head } = slice()
    const frame = Buffer.concat([hex('FFD8'), Buffer.alloc(300, 7), hex('FFD9')])
    const fragments = pixelSequence(explicitLittle, 'OB', Buffer.alloc(0), frame)
    const nulled = Buffer.concat([head, fragments.subarray(0, -8), Buffer.alloc(8)])
    const url = await giving(nulled, JPEG)
    const { status, body } = await get(`${url}${INSTANCE}/frames/1`, OCTETS)
    expect(status).toBe(200)
    expect(body.includes(frame)).toBe(true)
    expect((await get(`${url}${INSTANCE}`, 'application/dicom; transfer-syntax=*')).status).toBe(200)
  })
})
