import { describe, expect, it } from 'vitest'
import type { Bytes, ByteStream } from '../../../src/dicom/bytes.ts'
import { readFormFiles } from '../../../src/dicomweb/multipart/form-files.ts'
import { defaultMultipartLimits, type MultipartLimits } from '../../../src/dicomweb/multipart/limits.ts'
import { collect, streamOf } from '../../support/byte-stream.ts'
import { byteByByte, chunksOf } from '../../support/chunking.ts'
import { formBodies } from '../../support/form-bodies.ts'

async function filesOf(body: ByteStream, boundary = 'b', limits?: MultipartLimits): Promise<string[]> {
  const files: string[] = []
  for await (const file of readFormFiles(body, boundary, limits)) files.push((await collect(file)).toString('latin1'))
  return files
}

const body = (text: string): ByteStream => streamOf([Buffer.from(text, 'latin1')])
const part = (disposition: string, content: string, more = ''): string =>
  `--b\r\nContent-Disposition: ${disposition}\r\n${more}\r\n${content}\r\n`

describe('a form that was recorded', () => {
  it.each(formBodies)('from $by: its files, whole and in pieces', async ({ boundary, lines, files }) => {
    const bytes = Buffer.from(lines.join(''), 'latin1')
    const cuts: Iterable<Bytes>[] = [[bytes], byteByByte(bytes), chunksOf(bytes, 37)]
    for (const pieces of cuts) expect(await filesOf(streamOf([...pieces]), boundary)).toEqual(files)
  })

  it.each(formBodies)('from $by: also without its last line end', async ({ boundary, lines, files }) => {
    const bytes = Buffer.from(lines.join(''), 'latin1').subarray(0, -2)
    expect(await filesOf(streamOf([bytes]), boundary)).toEqual(files)
  })

  it.each(formBodies)('from $by: cut short anywhere before, is an error', async ({ boundary, lines }) => {
    const bytes = Buffer.from(lines.join(''), 'latin1')
    for (let length = 0; length < bytes.length - 2; length++) {
      await expect(filesOf(streamOf([bytes.subarray(0, length)]), boundary)).rejects.toMatchObject({
        code: 'MULTIPART_TRUNCATED',
      })
    }
  })
})

describe('a part of a form', () => {
  it.each([
    ['with a name', 'form-data; name="f"; filename="a.dcm"', ''],
    ['with a name in another spelling', 'form-data; name=f; FileName = a.dcm', ''],
    ['with a name in UTF-8 (RFC 5987)', "form-data; name=f; filename*=UTF-8''%C3%BC.dcm", ''],
    ['with a name that ends in a backslash', 'form-data; name="f"; filename="C:\\dir\\"', ''],
    ['with quotes in its name', 'form-data; name="f"; filename="a\\"; x=\\"b.dcm"', ''],
    ['without a name, of a media type of files', 'form-data; name="f"', 'Content-Type: Application/DICOM\r\n'],
    ['with an empty name', 'form-data; name="f"; filename=""', ''],
  ])('%s is a file', async (_, disposition, more) => {
    expect(await filesOf(body(`${part(disposition, 'AAA', more)}--b--`))).toEqual(['AAA'])
  })

  it.each([
    ['without a name', 'form-data; name="f"', ''],
    ['whose name only speaks of files', 'form-data; name="; filename=x"', ''],
    ['without a name, of text', 'form-data; name="f"', 'Content-Type: text/plain\r\n'],
  ])('%s is a field', async (_, disposition, more) => {
    expect(await filesOf(body(`${part(disposition, 'AAA', more)}--b--`))).toEqual([])
  })

  it('with a name and without bytes is a file, and no file without either', async () => {
    const named = part('form-data; name="f"; filename="a"', '')
    const unchosen = part('form-data; name="f"; filename=""', '', 'Content-Type: application/octet-stream\r\n')
    expect(await filesOf(body(`${unchosen}${named}${unchosen}--b--`))).toEqual([''])
  })

  it('that is left unread does not hide the next', async () => {
    const text = `${part('form-data; name="f"; filename="a"', 'AAA')}${part('form-data; name="f"; filename=""', 'BB')}--b--`
    let seen = 0
    for await (const _ of readFormFiles(streamOf(byteByByte(Buffer.from(text))), 'b')) seen++
    expect(seen).toBe(2)
  })

  it('counts among the parts there may be, be it a field', async () => {
    const field = part('form-data; name="f"', 'x')
    const limits = { ...defaultMultipartLimits, maxParts: 3 }
    expect(await filesOf(body(`${field.repeat(3)}--b--`), 'b', limits)).toEqual([])
    await expect(filesOf(body(`${field.repeat(4)}--b--`), 'b', limits)).rejects.toMatchObject({
      code: 'MULTIPART_TOO_MANY_PARTS',
    })
  })
})
