import { randomBytes } from 'node:crypto'
import { copyFile, readdir, readFile, rm, stat, truncate } from 'node:fs/promises'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { BLOCK_BYTES, DamagedBlockError } from '../../../src/cache/disk/block-cipher.ts'
import { BLOCK_FILE_NAME, BlockFile, bytesOnDisk, DiskFaultError } from '../../../src/cache/disk/block-file.ts'
import { inBlocks } from '../../../src/cache/disk/writing.ts'
import { collect, streamOf } from '../../support/byte-stream.ts'
import { cutAt, cuts } from '../../support/chunking.ts'
import { temporaryFolder, type TemporaryFolder } from '../../support/temporary-folder.ts'

const { signal } = new AbortController()
let folder: TemporaryFolder

beforeAll(async () => {
  folder = await temporaryFolder()
})

afterAll(async () => {
  await folder[Symbol.asyncDispose]()
})

async function fileOf(bytes: Buffer, offsets: readonly number[] = []): Promise<BlockFile> {
  const file = await BlockFile.create(folder.path)
  for await (const block of inBlocks(streamOf(cutAt(bytes, offsets)))) await file.append(block)
  await file.finish()
  return file
}

const read = (file: BlockFile, from = 0, to = Infinity) => collect(file.bytes(from, to, signal))

describe('a file of blocks', () => {
  it('gives any range of its bytes, however they came', async () => {
    const all = randomBytes(3 * BLOCK_BYTES + 12_345)
    const sizes = fc.oneof(fc.nat({ max: all.length }), fc.constantFrom(0, 1, BLOCK_BYTES, 2 * BLOCK_BYTES, all.length))
    const place = fc.nat({ max: all.length + 1000 })
    const ranges = fc.array(fc.tuple(place, place), { minLength: 1, maxLength: 6 })
    await fc.assert(
      fc.asyncProperty(sizes, cuts(all.length), ranges, async (size, offsets, wanted) => {
        const bytes = all.subarray(0, size)
        const file = await fileOf(bytes, offsets)
        expect(file.size).toBe(size)
        expect((await read(file)).equals(bytes)).toBe(true)
        for (const [from, to] of wanted) {
          expect((await read(file, from, to)).equals(bytes.subarray(from, Math.max(from, to)))).toBe(true)
        }
        await file.remove()
      }),
      { numRuns: 40 },
    )
  })

  it('can be read as far as it is written, while it is', async () => {
    const bytes = randomBytes(2 * BLOCK_BYTES)
    const file = await BlockFile.create(folder.path)
    expect(await read(file)).toHaveLength(0)
    await file.append([bytes.subarray(0, BLOCK_BYTES)])
    expect((await read(file, 1000)).equals(bytes.subarray(1000, BLOCK_BYTES))).toBe(true)
    await file.append([bytes.subarray(BLOCK_BYTES)])
    expect((await read(file)).equals(bytes)).toBe(true)
    await file.remove()
  })

  it('tells nothing by its name, and holds nothing in the clear', async () => {
    const file = await fileOf(Buffer.from('1.2.840.10008.5.1.4.1.1.2 DOE^JANE '.repeat(20_000)))
    const names = await readdir(folder.path)
    expect(names.every((name) => BLOCK_FILE_NAME.test(name))).toBe(true)
    const written = await readFile(file.path)
    expect(written.includes('DOE^JANE')).toBe(false)
    expect(written.includes('1.2.840.10008')).toBe(false)
    expect((await stat(file.path)).mode & 0o077).toBe(0)
    await file.remove()
  })

  it('is no longer on disk than is foreseen', async () => {
    for (const length of [1, BLOCK_BYTES - 16, BLOCK_BYTES, BLOCK_BYTES + 1]) {
      const file = await fileOf(randomBytes(length))
      expect((await stat(file.path)).size).toBeLessThanOrEqual(bytesOnDisk(length))
      await file.remove()
    }
  })

  it.each<[string, (file: BlockFile) => Promise<unknown>, new (...given: never[]) => Error]>([
    ['is cut short', (file) => truncate(file.path, BLOCK_BYTES + 100), DamagedBlockError],
    ['is emptied', (file) => truncate(file.path), DamagedBlockError],
    [
      'is exchanged',
      async (file) => copyFile((await fileOf(Buffer.alloc(file.size))).path, file.path),
      DamagedBlockError,
    ],
    ['is gone', (file) => rm(file.path), DiskFaultError],
  ])('gives no wrong byte when it %s', async (_, change, error) => {
    const file = await fileOf(randomBytes(BLOCK_BYTES + 1000))
    await change(file)
    await expect(read(file, BLOCK_BYTES + 500)).rejects.toThrow(error)
  })

  it('goes when nobody holds it any more', async () => {
    const bytes = randomBytes(1000)
    const file = await fileOf(bytes)
    file.hold()
    file.hold()
    const gone = file.remove()
    file.release()
    expect((await read(file)).equals(bytes)).toBe(true)
    file.release()
    await gone
    await expect(stat(file.path)).rejects.toThrow('ENOENT')
  })

  it('cannot be made where there is no folder', async () => {
    await expect(BlockFile.create(join(folder.path, 'none'))).rejects.toThrow(DiskFaultError)
  })
})
