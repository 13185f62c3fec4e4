import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import { DemoArchive } from '../../../src/demo/demo-archive.ts'
import { readStoredFile } from '../../../src/demo/stored-file.ts'
import { Attribute } from '../../../src/dicom/attributes.ts'
import { get } from '../../e2e/http.ts'
import { instanceFile, Syntax } from '../../support/dicom-files.ts'
import { gatewayTo } from '../../support/gateway-to.ts'
import { temporaryFolder } from '../../support/temporary-folder.ts'

const STUDY = '1.2.3'
const SERIES = '1.2.3.4'
const INSTANCE = '1.2.3.4.5'
const OCTETS = 'multipart/related; type="application/octet-stream"'

let stack = new AsyncDisposableStack()

afterEach(async () => {
  await stack.disposeAsync()
  stack = new AsyncDisposableStack()
})

async function serving(files: readonly Buffer[], settings: object, maxBytes: string | number) {
  const archive = stack.use(await DemoArchive.start())
  for (const file of files) await archive.put(file)
  const gateway = stack.use(
    await gatewayTo({ host: '127.0.0.1', port: archive.port }, settings, { cache: { maxBytes } }),
  )
  return { archive, url: `${gateway.url}/studies/${STUDY}` }
}

/** A file with a stray item delimiter in front of Rows: nobody can follow it to its pixel data. */
function strayed(file: Buffer): Buffer {
  const at = file.indexOf(Buffer.from('2800100055530200', 'hex'))
  expect(at).toBeGreaterThan(0)
  return Buffer.concat([file.subarray(0, at), Buffer.from('feff0de000000000', 'hex'), file.subarray(at)])
}

describe('an instance whose structure cannot be followed to its pixel data', () => {
  async function archiveWith(image: Buffer): Promise<string> {
    const folder = stack.use(await temporaryFolder())
    const path = join(folder.path, 'image.dcm')
    const { archive, url } = await serving([image], {}, '64MiB')
    await writeFile(path, image)
    const entry = (await readStoredFile(path))!
    await writeFile(path, strayed(image))
    archive.catalog.add(entry)
    return url
  }

  it.each(['', '/bulkdata', '/pixeldata', `/series/${SERIES}/instances/${INSTANCE}/frames/1`])(
    'is not taken for one without: %s, when it comes and when it is held',
    async (resource) => {
      const url = await archiveWith(
        instanceFile({ syntax: Syntax.jpegBaseline, fragments: [new Uint8Array(0), Buffer.alloc(5000, 0xd8)] }),
      )
      const accept = resource === '' ? 'multipart/related; type="application/dicom"' : OCTETS
      for (let n = 0; n < 3; n++) expect((await get(`${url}${resource}`, accept)).status).toBe(502)
    },
  )

  it('is given as it is stored to who takes that', async () => {
    const url = await archiveWith(
      instanceFile({ syntax: Syntax.jpegBaseline, fragments: [new Uint8Array(0), Buffer.alloc(5000, 0xd8)] }),
    )
    const { status, body } = await get(url, 'multipart/related; type="application/dicom"; transfer-syntax=*')
    expect(status).toBe(200)
    expect(body.includes(Buffer.from(Syntax.jpegBaseline))).toBe(true)
  })
})

describe('the length that a document says it has', () => {
  const pdf = (value: Buffer, length: number): Buffer =>
    instanceFile({
      sopClass: '1.2.840.10008.5.1.4.1.1.104.1',
      change(dataset) {
        dataset.delete(Attribute.PixelData)
        dataset
          .put(Attribute.EncapsulatedDocument, { vr: 'OB', value })
          .set(Attribute.MIMETypeOfEncapsulatedDocument, 'application/pdf')
          .set(Attribute.EncapsulatedDocumentLength, length)
      },
    })

  it.each([
    ['is its own where it leaves out the pad', 4999, 4999],
    ['is not believed where it leaves out more', 100, 5000],
    ['is not believed where it is more than there is', 6000, 5000],
  ])('%s', async (_, stated, given) => {
    const { url } = await serving([pdf(Buffer.alloc(5000, '%PDF '), stated)], {}, '64MiB')
    const instance = `${url}/series/${SERIES}/instances/${INSTANCE}`
    for (const resource of ['/bulkdata/00420011', '/rendered']) {
      const { status, body } = await get(`${instance}${resource}`, 'application/pdf')
      expect([status, body.length]).toEqual([200, given])
    }
  })
})

describe('an instance that cannot be decoded here', () => {
  it('is let go before the archive is asked to decompress it', async () => {
    const fragments = [new Uint8Array(0), Buffer.alloc(8_000_000, 9)]
    const file = instanceFile({
      syntax: Syntax.jpegXlLossless,
      fragments,
      change: (dataset) =>
        dataset.set(Attribute.SamplesPerPixel, 1).set(Attribute.PhotometricInterpretation, 'MONOCHROME2'),
    })
    const { url } = await serving([file], { maxAssociations: 1, timeouts: { queue: '60s' } }, 0)
    const { status } = await get(`${url}/series/${SERIES}/instances/${INSTANCE}/frames/1`, OCTETS)
    expect(status).toBe(406)
  })
})
