import sharp from 'sharp'
import { describe, expect, it } from 'vitest'
import type { Bytes } from '../../../src/dicom/bytes.ts'
import { CodestreamError } from '../../../src/imaging/codecs/codec-error.ts'
import { decodeFrame } from '../../../src/imaging/codecs/decode-frame.ts'
import { jpegScans, MAX_SCANS } from '../../../src/imaging/codecs/jpeg-codestream.ts'
import { codestreams, type Codestream } from '../codestreams.ts'
import { description, noise } from '../made-images.ts'

/** No frame of these, whole or damaged, has any reason to take so long, in ms; the slowest takes 60. */
const MOST_TIME = 5_000

async function decoded({ frame, image, syntax }: Codestream): Promise<Buffer> {
  return Buffer.from(await decodeFrame(frame, image, syntax))
}

/** What becomes of a frame: its pixels, or undefined where it is refused as it should be. */
async function attempt(codestream: Codestream, frame: Bytes): Promise<Buffer | undefined> {
  const start = performance.now()
  try {
    return await decoded({ ...codestream, frame: Buffer.from(frame) })
  } catch (error) {
    expect(error).toBeInstanceOf(CodestreamError)
    return undefined
  } finally {
    expect(performance.now() - start).toBeLessThan(MOST_TIME)
  }
}

describe('a codestream that is cut off', () => {
  it.each(codestreams)('is refused wherever it is cut, and the next one is decoded: %s', async (_, make) => {
    const codestream = await make()
    const whole = await decoded(codestream)
    const { length } = codestream.frame
    const shares = [0, 0.001, 0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99].map((share) => Math.floor(share * length))
    for (const end of [...shares, 1, 2, 3, 11, 20, length - 20, length - 8]) {
      const found = await attempt(codestream, codestream.frame.subarray(0, end))
      expect(found === undefined, `cut at ${end} of ${length}`).toBe(true)
    }
    expect((await decoded(codestream)).equals(whole)).toBe(true)
  })

  it.each(codestreams)('by its last bytes only is refused, or complete: %s', async (_, make) => {
    const codestream = await make()
    const whole = await decoded(codestream)
    for (let missing = 1; missing <= 12; missing++) {
      const found = await attempt(codestream, codestream.frame.subarray(0, -missing))
      expect(found === undefined || found.equals(whole), `${missing} bytes are missing`).toBe(true)
    }
  })
})

describe('a codestream with something wrong in it', () => {
  it.each(codestreams)('has no effect on the next one, whichever bits are turned: %s', async (_, make) => {
    const codestream = await make()
    const whole = await decoded(codestream)
    const { length } = codestream.frame
    const random = noise(10_000, 7)
    let at = 0
    const next = (bound: number): number => random.readUInt16LE(2 * at++) % bound
    let refused = 0
    for (let round = 0; round < 40; round++) {
      const damaged = Buffer.from(codestream.frame)
      for (let bit = 0; bit <= round % 5; bit++) {
        // Every other time in the headers.
        const place = round % 2 === 0 ? next(length) : next(Math.min(length, 200))
        damaged[place]! ^= 1 << next(8)
      }
      const found = await attempt(codestream, damaged)
      if (found) expect(found.length).toBe(whole.length)
      else refused++
    }
    expect(refused).toBeGreaterThan(0)
    expect((await decoded(codestream)).equals(whole)).toBe(true)
  })

  it.each(codestreams)('that is no codestream is refused: %s', async (_, make) => {
    const codestream = await make()
    const whole = await decoded(codestream)
    const { frame } = codestream
    const kinds = { nothing: Buffer.alloc(0), zeros: Buffer.alloc(1000), ones: Buffer.alloc(1000, 0xff) }
    const nonsense = { noise: noise(5000, 3), 'a good start, then noise': Buffer.from(frame) }
    noise(frame.length, 5).copy(nonsense['a good start, then noise'], 2, 2)
    for (const [kind, bytes] of Object.entries({ ...kinds, ...nonsense })) {
      expect((await attempt(codestream, bytes)) === undefined, kind).toBe(true)
    }
    expect((await decoded(codestream)).equals(whole)).toBe(true)
  })
})

describe('a codestream of another size than its image', () => {
  const sized = codestreams.filter(([name]) => !/RLE|Deflated/.test(name))

  it.each(sized)('is refused by its header: %s', async (_, make) => {
    const codestream = await make()
    const { rows, columns } = codestream.image
    const sizes = [
      [rows + 1, columns],
      [rows, columns + 1],
      [rows - 7, columns + 7],
      [65_000, 65_000],
      [0, columns],
    ]
    for (const [height, width] of sizes) {
      const frame = resized(codestream.frame, height!, width!)
      expect((await attempt(codestream, frame)) === undefined, `${width} x ${height}`).toBe(true)
    }
  })

  it.each(sized)('is refused by the attributes, whichever differ: %s', async (_, make) => {
    const codestream = await make()
    const { image, frame } = codestream
    const others = [{ rows: image.rows + 1 }, { columns: image.columns - 1 }, { rows: 60_000, columns: 2_000 }]
    const samples = { samplesPerPixel: image.samplesPerPixel === 1 ? 3 : 1 }
    for (const other of [...others, samples]) {
      expect((await attempt({ ...codestream, image: { ...image, ...other } }, frame)) === undefined).toBe(true)
    }
    expect((await attempt(codestream, frame)) !== undefined).toBe(true)
  })

  it.each(sized.filter(([name]) => /HTJ2K|JPEG 2000/.test(name)))(
    'is refused with more tiles than there may be: %s',
    async (_, make) => {
      const codestream = await make()
      const frame = Buffer.from(codestream.frame)
      for (const at of [24, 28]) frame.writeUInt32BE(0, frame.indexOf(SIZ) + at)
      expect((await attempt(codestream, frame)) === undefined).toBe(true)
    },
  )
})

describe('a progressive JPEG', () => {
  it('of more scans than any has is refused before it is decoded', async () => {
    const image = description({ rows: 1024, columns: 1024 })
    const raw = { width: 1024, height: 1024, channels: 1 } as const
    const frame = await sharp(noise(1024 * 1024), { raw })
      .toColourspace('b-w')
      .jpeg({ progressive: true })
      .toBuffer()
    const codestream = { frame, image, syntax: '1.2.840.10008.1.2.4.50' }
    const scans = jpegScans(frame)
    expect(scans.isWhole).toBe(true)
    expect((await attempt(codestream, frame)) !== undefined).toBe(true)
    const last = frame.lastIndexOf(Buffer.of(0xff, 0xda))
    const repeated = (count: number): Buffer =>
      Buffer.concat([frame.subarray(0, -2), ...Array.from({ length: count }, () => frame.subarray(last, -2)), EOI])
    const start = performance.now()
    await expect(decoded({ ...codestream, frame: repeated(MAX_SCANS - scans.scans + 1) })).rejects.toThrow('scans')
    expect(performance.now() - start).toBeLessThan(500)
    await expect(decoded({ ...codestream, frame: repeated(MAX_SCANS - scans.scans) })).rejects.not.toThrow('scans')
  })
})

const EOI = Buffer.of(0xff, 0xd9)
/** SOC and SIZ. */
const SIZ = Buffer.of(0xff, 0x4f, 0xff, 0x51)

/** With other numbers in SOFn or SIZ. */
function resized(frame: Buffer, rows: number, columns: number): Buffer {
  const bytes = Buffer.from(frame)
  const start = bytes.indexOf(SIZ)
  if (start >= 0) {
    for (const at of [8, 24]) bytes.writeUInt32BE(columns, start + at)
    for (const at of [12, 28]) bytes.writeUInt32BE(rows, start + at)
    return bytes
  }
  let at = 2
  while (![0xc0, 0xc1, 0xc2, 0xc3, 0xf7].includes(bytes[at + 1]!)) at += 2 + bytes.readUInt16BE(at + 2)
  bytes.writeUInt16BE(rows, at + 5)
  bytes.writeUInt16BE(columns, at + 7)
  return bytes
}
