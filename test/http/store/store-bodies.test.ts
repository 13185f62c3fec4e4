import { once } from 'node:events'
import { describe, expect, it, vi } from 'vitest'
import { Attribute } from '../../../src/dicom/attributes.ts'
import type { Dataset } from '../../../src/dicom/dataset.ts'
import { encodeDataset } from '../../../src/dicom/dataset-codec.ts'
import { part10Header } from '../../../src/dicom/part10.ts'
import { EXPLICIT_VR_LITTLE_ENDIAN, transferSyntax } from '../../../src/dicom/transfer-syntax.ts'
import { deflate } from '../../support/deflated.ts'
import { CT, E, I, instanceDataset, instanceFile, S, seriesFiles, Syntax } from '../../support/dicom-files.ts'
import { startSetup, type Setup, type SetupOptions } from '../../support/gateway.ts'
import { keeper } from '../../support/kept.ts'
import { splitPart10 } from '../../support/part10.ts'
import { RawClient } from '../../support/raw-http.ts'
import { post, related, store, type RelatedOptions } from '../../support/related.ts'

const kept = keeper()

async function started(options: SetupOptions = {}): Promise<Setup> {
  return kept(await startSetup(options))
}

async function connected(setup: Setup): Promise<RawClient> {
  return kept(await RawClient.connect(setup.port))
}

/** The head of a POST to /studies. */
function head(type: string, headers: Readonly<Record<string, string | number>>): string {
  const lines = Object.entries({ Host: 'gateway.localhost', 'Content-Type': type, ...headers })
  return `POST /dicomweb/studies HTTP/1.1\r\n${lines.map(([name, value]) => `${name}: ${value}\r\n`).join('')}\r\n`
}

function chunk(bytes: Uint8Array): Buffer {
  return Buffer.concat([Buffer.from(`${bytes.length.toString(16)}\r\n`), bytes, Buffer.from('\r\n')])
}

const isFree = async (setup: Setup): Promise<void> => {
  await vi.waitFor(() => expect(setup.gateway.archives[0]!.stats).toMatchObject({ leased: 0, waiting: 0 }), {
    timeout: 5000,
    interval: 5,
  })
}

describe('a multipart body', () => {
  it.each<[string, RelatedOptions]>([
    ['with LF alone at its line ends', { lineEnd: '\n' }],
    ['with text before and behind', { preamble: 'This is a message\r\nin parts.\r\n', epilogue: 'That was it.\r\n' }],
    ['with all of that (case 17)', { lineEnd: '\n', preamble: 'To whom it may concern\n', epilogue: '\n\nBye\n' }],
    ['that begins with CRLF', { preamble: '\r\n' }],
    ['with a boundary that needs quotes (case 18)', { boundary: 'a:b' }],
    ['with a boundary of all that may be in one', { boundary: "0aZ'()+_,-./:=?" }],
    ['with a boundary of 70 characters', { boundary: 'x'.repeat(70) }],
    [
      'whose boundary is not quoted though it should be',
      { boundary: 'a/b', contentType: 'multipart/related; type=application/dicom; boundary=a/b' },
    ],
    ['without type parameter', { contentType: 'multipart/related; boundary=b0undary' }],
  ])('%s is read', async (_, options) => {
    const setup = await started()
    const answer = await store(`${setup.url}/studies`, seriesFiles(2), options)
    expect(answer).toMatchObject({ status: 200, failed: [], others: [] })
    expect(setup.archive.catalog.size).toBe(2)
  })

  it('whose part ends in CR LF of its own keeps them (case 20)', async () => {
    const setup = await started()
    const pixels = Buffer.from('0102030405060708090a0b0c0d0a0d0a', 'hex')
    const file = instanceFile({ change: (dataset) => dataset.put(Attribute.PixelData, { vr: 'OW', value: pixels }) })
    for (const lineEnd of ['\r\n', '\n'] as const) {
      expect((await store(`${setup.url}/studies`, [file], { lineEnd })).status).toBe(200)
      const response = await fetch(`${setup.url}/studies/${S}/series/${E}/instances/${I}`, {
        headers: { accept: 'application/dicom' },
      })
      const { data } = splitPart10(Buffer.from(await response.arrayBuffer()))
      expect(data.subarray(-pixels.length)).toEqual(pixels)
    }
  })

  it('that holds what looks like a delimiter is read whole', async () => {
    const setup = await started()
    const pixels = Buffer.from(
      '\r\n--b0undar\r\n--b0undaryX\r\n--b0undary-\r\n-- b0undary\r\n--b0undary\x00\r\n--'.padEnd(80, '-'),
    )
    const file = instanceFile({ change: (dataset) => dataset.put(Attribute.PixelData, { vr: 'OW', value: pixels }) })
    expect(await store(`${setup.url}/studies`, [file])).toMatchObject({ status: 200, others: [] })
    const response = await fetch(`${setup.url}/studies/${S}/series/${E}/instances/${I}`, {
      headers: { accept: 'application/dicom' },
    })
    expect(splitPart10(Buffer.from(await response.arrayBuffer())).data.subarray(-pixels.length)).toEqual(pixels)
  })

  it('without its closing delimiter is a 400, and nothing is taken for whole', async () => {
    const setup = await started()
    expect(await store(`${setup.url}/studies`, [instanceFile()], { closed: false })).toMatchObject({
      status: 400,
      type: 'application/problem+json',
      json: { code: 'MULTIPART_TRUNCATED' },
    })
    expect(setup.archive.catalog.size).toBe(0)
    await isFree(setup)
  })

  it('without its closing delimiter has what was whole before', async () => {
    const setup = await started()
    const answer = await store(`${setup.url}/studies`, seriesFiles(3), { closed: false })
    expect(answer.status).toBe(202)
    expect(answer.stored.map(([uid]) => uid)).toEqual([`${E}.1`, `${E}.2`])
    expect(setup.archive.catalog.size).toBe(2)
  })

  it.each([
    ['no delimiter at all', Buffer.from('hello')],
    ['nothing', Buffer.alloc(0)],
    ['another boundary', related([instanceFile()], { boundary: 'other' }).body],
    ['a header without end', Buffer.from('--b0undary\r\nContent-Type: application/dicom')],
    ['a header that is none', Buffer.from('--b0undary\r\nno colon here\r\n\r\nx\r\n--b0undary--\r\n')],
    ['a header with a control character', Buffer.from('--b0undary\r\nContent-Type: a\0b\r\n\r\nx\r\n--b0undary--\r\n')],
    ['the closing delimiter alone', Buffer.from('--b0undary--\r\n')],
  ])('of %s is a 400', async (_, body) => {
    const setup = await started()
    const answer = await post(`${setup.url}/studies`, body, { 'Content-Type': related([]).type })
    expect(answer).toMatchObject({ status: 400, type: 'application/problem+json' })
    expect(setup.gateway.archives[0]!.stats.open).toBe(0)
  })

  it('of more parts than the service reads is a 413', async () => {
    const setup = await started()
    const { type, body } = related(
      Array.from({ length: 10_001 }, () => Buffer.from('x')),
      { partType: '' },
    )
    expect(await post(`${setup.url}/studies`, body, { 'Content-Type': type })).toMatchObject({
      status: 413,
      json: { code: 'MULTIPART_TOO_MANY_PARTS' },
    })
  })

  it('of a part with a header of 1 MB is a 413', async () => {
    const setup = await started()
    const { type, body } = related([instanceFile()], { partType: `application/dicom; x=${'y'.repeat(1_000_000)}` })
    expect(await post(`${setup.url}/studies`, body, { 'Content-Type': type })).toMatchObject({
      status: 413,
      json: { code: 'MULTIPART_HEADER_TOO_LARGE' },
    })
  })
})

describe('how a body comes', () => {
  it('in chunks, without Content-Length, is read as it comes', async () => {
    const setup = await started()
    const client = await connected(setup)
    const { type, body } = related(seriesFiles(2))
    await client.send(head(type, { 'Transfer-Encoding': 'chunked', Connection: 'close' }))
    for (let at = 0; at < body.length; at += 100) await client.send(chunk(body.subarray(at, at + 100)))
    await client.send('0\r\n\r\n')
    await client.closed()
    expect(client.status).toBe(200)
    expect(setup.archive.catalog.size).toBe(2)
  })

  it('byte by byte is read too', async () => {
    const setup = await started()
    const client = await connected(setup)
    const { type, body } = related([instanceFile()], { boundary: 'bb' })
    await client.send(head(type, { 'Content-Length': body.length, Connection: 'close' }))
    for (const byte of body) client.socket.write(Buffer.of(byte))
    await client.closed()
    expect(client.status).toBe(200)
  })

  it('behind Expect: 100-continue waits for the word', async () => {
    const setup = await started()
    const client = await connected(setup)
    const { type, body } = related([instanceFile()])
    await client.send(head(type, { 'Content-Length': body.length, Expect: '100-continue', Connection: 'close' }))
    await client.until(({ text }) => text.startsWith('HTTP/1.1 100 Continue\r\n\r\n'))
    await client.send(body)
    await client.closed()
    expect(client.status).toBe(200)
  })

  it('leaves the connection fit for the next request', async () => {
    const setup = await started()
    const client = await connected(setup)
    const good = related([instanceFile()])
    const bad = related([Buffer.from('garbage')])
    for (const [{ type, body }, status] of [
      [good, 200],
      [bad, 400],
      [good, 200],
    ] as const) {
      const before = client.size
      await client.send(head(type, { 'Content-Length': body.length }))
      await client.send(body)
      await client.until(({ received }) => /\r\n\r\n\{.*\}$/s.test(received.toString('latin1', before)))
      expect(client.status).toBe(status)
    }
  })
})

describe('a body larger than http.maxBodyBytes', () => {
  const MAX = 200_000

  it('is a 413 on its Content-Length alone, before a byte of it', async () => {
    const setup = await started({ http: { maxBodyBytes: MAX } })
    const client = await connected(setup)
    await client.send(head(related([]).type, { 'Content-Length': 4 * 2 ** 30 + MAX }))
    await client.until(({ status }) => status === 413)
    expect(client.text).toContain('application/problem+json')
    expect(client.text).toContain('"code":"BODY_TOO_LARGE"')
    await client.closed()
    expect(setup.gateway.archives[0]!.stats.open).toBe(0)
  })

  it('is a 413 as soon as that is known, where it has no end', async () => {
    const setup = await started({ http: { maxBodyBytes: MAX } })
    const client = await connected(setup)
    await client.send(head(related([]).type, { 'Transfer-Encoding': 'chunked' }))
    await client.send(chunk(Buffer.from('--b0undary\r\n\r\n')))
    let sent = 0
    const piece = Buffer.alloc(10_000)
    while (client.status === undefined && sent < 50 * MAX) {
      await client.send(chunk(piece))
      sent += piece.length
      await new Promise(setImmediate)
    }
    expect(client.status).toBe(413)
    expect(sent).toBeLessThan(50 * MAX)
    // What else comes is not read for long: the connection is closed.
    client.socket.on('error', () => undefined)
    const flood = setInterval(() => client.socket.write(chunk(piece)), 5)
    await client.closed().finally(() => clearInterval(flood))
  })

  it('has what was stored before the limit', async () => {
    const setup = await started({ http: { maxBodyBytes: 2000 } })
    const answer = await store(`${setup.url}/studies`, seriesFiles(4))
    expect(answer.status).toBe(413)
    const chunked = related(seriesFiles(8))
    const client = await connected(setup)
    await client.send(head(chunked.type, { 'Transfer-Encoding': 'chunked', Connection: 'close' }))
    for (let at = 0; at < chunked.body.length; at += 500) await client.send(chunk(chunked.body.subarray(at, at + 500)))
    await client.send('0\r\n\r\n')
    await client.closed()
    expect(client.status).toBe(202)
    expect(client.text).toContain('0008119A')
    expect(setup.archive.catalog.size).toBeGreaterThan(0)
  })

  it('is stored when it is not a byte more than allowed', async () => {
    const { type, body } = related([instanceFile()])
    const setup = await started({ http: { maxBodyBytes: body.length } })
    expect((await post(`${setup.url}/studies`, body, { 'Content-Type': type })).status).toBe(200)
    expect(
      (await post(`${setup.url}/studies`, Buffer.concat([body, Buffer.of(32)]), { 'Content-Type': type })).status,
    ).toBe(413)
  })
})

describe('a body that does not come to its end', () => {
  it('is given up with a 408 when it pauses for too long', async () => {
    const setup = await started({ timeouts: { stall: '200ms' } })
    const client = await connected(setup)
    const { type, body } = related([instanceFile({ pixelBytes: 100_000 })])
    await client.send(head(type, { 'Content-Length': body.length }))
    await client.send(body.subarray(0, 50_000))
    await client.closed()
    expect(client.status).toBe(408)
    expect(setup.archive.catalog.size).toBe(0)
    await isFree(setup)
  })

  it('may come slowly, as long as it comes', async () => {
    const setup = await started({ timeouts: { stall: '400ms' } })
    const client = await connected(setup)
    const { type, body } = related([instanceFile()])
    await client.send(head(type, { 'Content-Length': body.length, Connection: 'close' }))
    const size = Math.ceil(body.length / 8)
    for (let at = 0; at < body.length; at += size) {
      await client.send(body.subarray(at, at + size))
      await new Promise((resolve) => setTimeout(resolve, 80))
    }
    await client.closed()
    expect(client.status).toBe(200)
  })

  it('is given up when it only trickles, and the archive is free for others', async () => {
    const setup = await started({ timeouts: { stall: '300ms' } })
    const client = await connected(setup)
    const { type, body } = related([instanceFile({ pixelBytes: 100_000 })])
    await client.send(head(type, { 'Content-Length': body.length }))
    await client.send(body.subarray(0, 2_000))
    for (let at = 2_000; !client.ended && at < 2_200; at++) {
      await client.send(body.subarray(at, at + 1)).catch(() => undefined)
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
    expect(client.status).toBe(408)
    await isFree(setup)
  })

  it('makes no search wait for longer than it may, which is told why', async () => {
    const setup = await started({ pacs: { maxAssociations: 1 }, timeouts: { queue: '200ms' } })
    const client = await connected(setup)
    const { type, body } = related([instanceFile({ pixelBytes: 100_000 })])
    await client.send(head(type, { 'Content-Length': body.length }))
    await client.send(body.subarray(0, 50_000))
    await vi.waitFor(() => expect(setup.gateway.archives[0]!.stats.leased).toBe(1), { timeout: 5000, interval: 5 })
    const answer = await fetch(`${setup.url}/studies`)
    expect(answer.status).toBe(503)
    expect(answer.headers.get('retry-after')).toMatch(/^\d+$/)
    expect(await answer.json()).toMatchObject({
      code: 'POOL_BUSY',
      detail: 'The archive allows one association, and a download or a store holds it. Try again later.',
    })
    await client.send(body.subarray(50_000))
    await vi.waitFor(() => expect(client.status).toBe(200), { timeout: 5000, interval: 5 })
  })

  it('because the client left is not stored, and the association is free', async () => {
    const setup = await started()
    const { type, body } = related([instanceFile({ pixelBytes: 400_000 })])
    const client = await connected(setup)
    await client.send(head(type, { 'Content-Length': body.length }))
    await client.send(body.subarray(0, 300_000))
    await vi.waitFor(() => expect(setup.gateway.archives[0]!.stats.leased).toBe(1), { timeout: 5000, interval: 5 })
    client.socket.destroy()
    await isFree(setup)
    await vi.waitFor(() => expect(setup.archive.associations).toBe(0), { timeout: 5000, interval: 5 })
    expect(setup.archive.catalog.size).toBe(0)
    expect((await store(`${setup.url}/studies`, [instanceFile()])).status).toBe(200)
  })

  it('many times leaves nothing behind', async () => {
    const setup = await started({ pacs: { maxAssociations: 1 } })
    const { type, body } = related(seriesFiles(3, { pixelBytes: 50_000 }))
    for (let round = 1; round <= 10; round++) {
      const client = await connected(setup)
      await client.send(head(type, { 'Content-Length': body.length }))
      await client.send(body.subarray(0, Math.floor((body.length * round) / 11)))
      const closed = once(client.socket, 'close')
      client.socket.destroy()
      await closed
    }
    await isFree(setup)
    expect((await store(`${setup.url}/studies`, seriesFiles(3))).status).toBe(200)
  })
})

describe('a body that grows', () => {
  const MiB = 1024 ** 2
  /** Deflated to about a thousandth. */
  const bomb = (instance: string, bytes: number): Buffer => {
    const options = { instance, pixelBytes: bytes, change: (dataset: Dataset) => zeros(dataset, bytes) }
    const header = part10Header(CT, instance, transferSyntax(Syntax.deflated))
    return Buffer.concat([header, deflate(encodeDataset(instanceDataset(options), EXPLICIT_VR_LITTLE_ENDIAN))])
  }
  const zeros = (dataset: Dataset, bytes: number): unknown =>
    dataset.put(Attribute.PixelData, { vr: 'OW', value: Buffer.alloc(bytes) })

  it('by deflation is taken up to its limit, and refused beyond with the ratio', async () => {
    const setup = await started({ http: { maxInflatedBytes: '4MiB' } })
    expect((await store(`${setup.url}/studies`, [bomb(I, 3 * MiB)])).status).toBe(200)
    const refused = await store(`${setup.url}/studies`, [bomb(`${I}.2`, 8 * MiB)])
    expect(refused).toMatchObject({ status: 413, json: { code: 'GROWS_TOO_MUCH' } })
    expect(JSON.stringify(refused.json)).toMatch(
      /grows to \d{3,4} times its size: \d+ bytes of \d+ so far\. .* 4194304 /,
    )
    await isFree(setup)
    expect(setup.archive.catalog.size).toBe(1)
  })

  it('is one with all its parts', async () => {
    const setup = await started({ http: { maxInflatedBytes: '4MiB' } })
    const answer = await store(`${setup.url}/studies`, [
      bomb(I, 3 * MiB),
      bomb(`${I}.2`, 3 * MiB),
      bomb(`${I}.3`, 3 * MiB),
    ])
    expect(answer.status).toBe(202)
    expect(setup.archive.catalog.size).toBe(1)
  })

  it('is inflated no further where nobody reads on', async () => {
    const setup = await started({ http: { maxInflatedBytes: '1MiB' } })
    const before = process.memoryUsage().rss
    for (let n = 0; n < 3; n++) expect((await store(`${setup.url}/studies`, [bomb(I, 200 * MiB)])).status).toBe(413)
    expect(process.memoryUsage().rss - before).toBeLessThan(600 * MiB)
    await isFree(setup)
  })

  it('by decompression for the archive is refused as well', async () => {
    const setup = await started({
      http: { maxInflatedBytes: '1MiB' },
      archive: { faults: { acceptsSyntax: (uid) => !uid.startsWith('1.2.840.10008.1.2.5') } },
    })
    const change = (dataset: Dataset): unknown => dataset.set(Attribute.Rows, 4096).set(Attribute.Columns, 4096)
    const rle = instanceFile({ syntax: Syntax.rle, fragments: [Buffer.alloc(0), Buffer.alloc(64)], change })
    const answer = await store(`${setup.url}/studies`, [rle])
    expect(answer).toMatchObject({ status: 413, json: { code: 'GROWS_TOO_MUCH' } })
    expect(JSON.stringify(answer.json)).toContain('33554432 bytes')
  })
})
