import { request, type IncomingMessage } from 'node:http'
import { once } from 'node:events'
import { buffer } from 'node:stream/consumers'
import { promisify } from 'node:util'
import {
  brotliDecompress,
  createBrotliDecompress,
  createGunzip,
  createZstdDecompress,
  gunzip,
  zstdDecompress,
} from 'node:zlib'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { compressed, MAX_COMPRESSIONS } from '../../../src/http/body/compressed.ts'
import { codings, type Coding } from '../../../src/dicomweb/negotiate/content-coding.ts'
import { collect } from '../../support/byte-stream.ts'
import { E, I, S, seriesFiles } from '../../support/dicom-files.ts'
import { startSetup, type Setup } from '../../support/gateway.ts'
import { RawClient } from '../../support/raw-http.ts'

const decode = { zstd: promisify(zstdDecompress), br: promisify(brotliDecompress), gzip: promisify(gunzip) }
const decoders = { zstd: createZstdDecompress, br: createBrotliDecompress, gzip: createGunzip }

const instance = (n: number): Buffer => Buffer.from(JSON.stringify({ '00080018': { vr: 'UI', Value: [`1.2.3.${n}`] } }))
const instances = Array.from({ length: 500 }, (_, n) => instance(n))

async function* pieces(all: readonly Buffer[], failure?: Error): AsyncGenerator<Uint8Array> {
  for (const one of all) {
    await Promise.resolve()
    yield one
  }
  if (failure) throw failure
}

describe.each(codings)('a body in %s', (coding) => {
  it('is the same when it is decoded, and a fraction of it', async () => {
    const coded = await collect(compressed(pieces(instances), coding))
    const plain = Buffer.concat(instances)
    expect(Buffer.from(await decode[coding](coded)).equals(plain)).toBe(true)
    expect(coded.length).toBeLessThan(plain.length / 8)
  })

  it('may be empty', async () => {
    expect((await decode[coding](await collect(compressed(pieces([]), coding)))).length).toBe(0)
  })

  it('that fails has no end, and neither has one that is cut anywhere', async () => {
    const given: Uint8Array[] = []
    const reading = async (): Promise<void> => {
      for await (const piece of compressed(pieces(instances, new Error('the archive is gone')), coding))
        given.push(piece)
    }
    await expect(reading()).rejects.toThrow('the archive is gone')
    await expect(decode[coding](Buffer.concat(given))).rejects.toThrow()
    const whole = await collect(compressed(pieces(instances.slice(0, 3)), coding))
    for (let length = 0; length < whole.length; length++) {
      // Nothing at all is no body to zlib, and HTTP sees that it was cut.
      if (length > 0) await expect(decode[coding](whole.subarray(0, length))).rejects.toThrow()
    }
  })

  it('gives out what it has when nothing more comes for a while', async () => {
    const { promise: more, resolve } = Promise.withResolvers<undefined>()
    async function* waiting(): AsyncGenerator<Uint8Array> {
      yield instances[0]!
      await more
      yield instances[1]!
    }
    const decoder = decoders[coding]()
    const body = compressed(waiting(), coding)
    const feeding = (async () => {
      for await (const piece of body) decoder.write(piece)
      decoder.end()
    })()
    const [first] = (await once(decoder, 'data')) as [Buffer]
    expect(first.equals(instances[0]!)).toBe(true)
    resolve(undefined)
    await feeding
    expect((await buffer(decoder)).equals(instances[1]!)).toBe(true)
  })

  it('ends what makes it when its reader leaves, also while that waits for room', async () => {
    let ended = false
    async function* endless(): AsyncGenerator<Uint8Array> {
      try {
        for (let n = 0; ; n++) yield Buffer.from(String(Math.random()).repeat(1_000))
      } finally {
        ended = true
      }
    }
    for await (const piece of compressed(endless(), coding)) {
      expect(piece.length).toBeGreaterThan(0)
      // Until it can take no more.
      await new Promise((resolve) => setTimeout(resolve, 50))
      break
    }
    expect(ended).toBe(true)
  })
})

describe('an answer', () => {
  let setup: Setup

  beforeAll(async () => {
    setup = await startSetup({ files: seriesFiles(20) })
  })

  afterAll(async () => {
    await setup[Symbol.asyncDispose]()
  })

  async function get(
    path: string,
    headers: Record<string, string>,
    of = setup,
  ): Promise<{ coding: string | undefined; body: Buffer; response: IncomingMessage }> {
    const sent = request(of.url + path, { headers, agent: false })
    sent.end()
    const [response] = (await once(sent, 'response')) as [IncomingMessage]
    return { coding: response.headers['content-encoding'], body: await buffer(response), response }
  }

  const XML = 'multipart/related; type="application/dicom+xml"'
  const series = `/studies/${S}/series/${E}`

  it.each([
    ['/studies', 'application/dicom+json'],
    ['/studies', 'application/json'],
    ['/studies', XML],
    [`${series}/metadata`, 'application/dicom+json'],
    [`${series}/metadata`, XML],
  ])('to %s as %s is compressed for who takes that', async (path, accept) => {
    const { body: plain, coding: none } = await get(path, { Accept: accept })
    expect(none).toBeUndefined()
    for (const wanted of codings) {
      const { coding, body, response } = await get(path, { Accept: accept, 'Accept-Encoding': wanted })
      expect(coding).toBe(wanted)
      expect(response.headers.vary).toContain('Accept-Encoding')
      const decoded = Buffer.from(await decode[coding as Coding](body))
      // Boundaries are new each time.
      expect(decoded.length).toBe(plain.length)
      if (accept !== XML) expect(decoded.equals(plain)).toBe(true)
    }
  })

  it.each([
    ['instances', series, 'multipart/related; type="application/dicom"'],
    ['frames', `${series}/instances/${I}/frames/1`, '*/*'],
    ['a single part', `${series}/instances/${I}`, 'application/dicom'],
    ['bulk data', `${series}/instances/${I}/bulkdata/7FE00010`, 'application/octet-stream'],
    ['pictures', `${series}/rendered`, 'image/jpeg'],
  ])('of pixel data is never: %s', async (_, path, accept) => {
    const { coding, response } = await get(path, { Accept: accept, 'Accept-Encoding': 'gzip, br, zstd' })
    expect([response.statusCode, coding]).toEqual([path.endsWith('rendered') ? response.statusCode : 200, undefined])
  })

  it('is not where the configuration has it so', async () => {
    await using plain = await startSetup({ files: seriesFiles(2), http: { compression: false } })
    expect((await get('/studies', { 'Accept-Encoding': 'gzip' }, plain)).coding).toBeUndefined()
  })

  it('that is cut is no whole answer in any coding', async () => {
    await using cut = await startSetup({
      files: seriesFiles(20),
      archive: { faults: { abortAfter: 5 } },
    })
    for (const coding of codings) {
      const client = await RawClient.connect(cut.port)
      await client.request('GET', `/dicomweb${series}/metadata`, { 'Accept-Encoding': coding, Connection: 'close' })
      await client.closed()
      const isWhole = client.status === 200 && client.isWhole
      expect([coding, isWhole]).toEqual([coding, false])
      await client[Symbol.asyncDispose]()
    }
  })

  it('is given as it is beside as many as may be compressed at once', async () => {
    const held = Array.from({ length: MAX_COMPRESSIONS }, () => {
      const { promise, resolve } = Promise.withResolvers<undefined>()
      const body = compressed(
        (async function* () {
          await promise
          yield instances[0]!
        })(),
        'gzip',
      )
      return { reading: collect(body), resolve }
    })
    expect((await get('/studies', { 'Accept-Encoding': 'gzip' })).coding).toBeUndefined()
    for (const { resolve } of held) resolve(undefined)
    await Promise.all(held.map(({ reading }) => reading))
    expect((await get('/studies', { 'Accept-Encoding': 'gzip' })).coding).toBe('gzip')
  })
})
