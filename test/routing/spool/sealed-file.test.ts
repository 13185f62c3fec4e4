import { readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { once, type Bytes, type ByteStream } from '../../../src/dicom/bytes.ts'
import { openSealed, sealFile, type Sealing } from '../../../src/routing/spool/sealed-file.ts'
import { KEY } from '../../support/changed.ts'
import { temporaryFolder } from '../../support/temporary-folder.ts'

const CHUNK = 65_536
const HEAD = Buffer.from('head')
const sealing = (body: ByteStream): Sealing => ({ head: HEAD, body, claim: () => undefined })

async function* chunksOf(sizes: readonly number[]): AsyncGenerator<Bytes> {
  for (const [index, size] of sizes.entries()) yield await Promise.resolve(Buffer.alloc(size, index + 1))
}

async function read(path: string): Promise<Buffer> {
  await using opened = await openSealed(path, KEY)
  const all: Bytes[] = []
  for await (const one of opened.body) all.push(one)
  return Buffer.concat(all)
}

describe('a sealed file', () => {
  it('gives back what was put into it, however that came', async () => {
    await using dir = await temporaryFolder()
    const path = join(dir.path, 'a')
    const size = fc.oneof(fc.integer({ min: 0, max: 10 }), fc.constantFrom(CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK))
    await fc.assert(
      fc.asyncProperty(fc.array(size, { maxLength: 4 }), async (sizes) => {
        await sealFile(path, KEY, sealing(chunksOf(sizes)))
        const whole = Buffer.concat(sizes.map((one, index) => Buffer.alloc(one, index + 1)))
        expect((await read(path)).equals(whole)).toBe(true)
      }),
      { numRuns: 40 },
    )
    expect(await readdir(dir.path)).toEqual(['a'])
  })

  it('shows nothing of it to who has no key, and the same twice is not the same file', async () => {
    await using dir = await temporaryFolder()
    const [a, b] = [join(dir.path, 'a'), join(dir.path, 'b')]
    for (const path of [a, b]) {
      await sealFile(path, KEY, { ...sealing(once(Buffer.from('Sample^Case'))), head: Buffer.from('Other^Case') })
    }
    const [one, other] = [await readFile(a), await readFile(b)]
    expect(one.includes('Case')).toBe(false)
    expect(one.equals(other)).toBe(false)
  })

  // Behind the first 40 bytes: prefix, head and tag, and then chunks of 65,536 with 20 bytes each.
  const sealedBytes = 8 + 32 + 4 + HEAD.length + 16 + 3 * (4 + CHUNK + 16) + 4 + 3_392 + 16
  it.each([
    ['cut short', (file: Buffer) => file.subarray(0, -3_000)],
    ['without its last chunk', (file: Buffer) => file.subarray(0, -(4 + 3_392 + 16))],
    [
      'without a chunk in the middle',
      (file: Buffer) => Buffer.concat([file.subarray(0, 64), file.subarray(64 + 4 + CHUNK + 16)]),
    ],
    ['changed in one bit', (file: Buffer) => Buffer.concat([file.subarray(0, -1), Buffer.of(file.at(-1)! ^ 1)])],
    [
      'said to end before',
      (file: Buffer) => {
        const changed = Buffer.from(file)
        changed.writeUInt32BE(CHUNK + 0x8000_0000, 64)
        return changed
      },
    ],
  ])('that is %s is not taken for whole', async (_, change) => {
    await using dir = await temporaryFolder()
    const path = join(dir.path, 'a')
    await sealFile(path, KEY, sealing(chunksOf([200_000])))
    const file = await readFile(path)
    expect(file).toHaveLength(sealedBytes)
    await writeFile(path, change(file))
    await expect(read(path)).rejects.toMatchObject({ code: 'SPOOL_FILE_DAMAGED' })
  })

  it('of another key, of nothing of ours, or that is not there is not opened', async () => {
    await using dir = await temporaryFolder()
    const path = join(dir.path, 'a')
    const damaged = { code: 'SPOOL_FILE_DAMAGED' }
    await sealFile(path, KEY, sealing(once(Buffer.alloc(3))))
    await expect(openSealed(path, `${KEY}!`)).rejects.toMatchObject(damaged)
    await writeFile(path, Buffer.alloc(1_000))
    await expect(openSealed(path, KEY)).rejects.toMatchObject(damaged)
    await expect(openSealed(join(dir.path, 'b'), KEY)).rejects.toMatchObject(damaged)
  })

  it.each([
    ['body fails', { body: failing(), claim: () => undefined }, 'gone'],
    ['bytes have no room', { body: chunksOf([CHUNK, 1]), claim: refusing(CHUNK) }, 'no room'],
  ])('whose %s is not there', async (_, parts, message) => {
    await using dir = await temporaryFolder()
    await expect(sealFile(join(dir.path, 'a'), KEY, { head: HEAD, ...parts })).rejects.toThrow(message)
    expect(await readdir(dir.path)).toEqual([])
  })

  it('in a folder that is not there is a fault of the disk', async () => {
    await using dir = await temporaryFolder()
    await expect(sealFile(join(dir.path, 'none', 'a'), KEY, sealing(chunksOf([1])))).rejects.toMatchObject({
      code: 'SPOOL_DISK',
      message: 'The disk of the spool failed (ENOENT)',
    })
  })
})

async function* failing(): AsyncGenerator<Bytes> {
  yield* chunksOf([CHUNK, CHUNK])
  throw new Error('gone')
}

function refusing(most: number): (bytes: number) => void {
  let left = most
  return (bytes) => {
    left -= bytes
    if (left < 0) throw new Error('no room')
  }
}
