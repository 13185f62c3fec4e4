import { randomBytes } from 'node:crypto'
import { mkdtemp, open, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { BLOCK_BYTES, BlockCipher, TAG_BYTES } from '../src/cache/disk/block-cipher.ts'

// What encryption costs the disk tier of the cache: `node bench/disk.ts [folder]`. Files are written and read in blocks of
// several sizes, sealed and plain, and frames of 128 KiB are read one by one. What was just written is mostly read from
// the system's memory: so this is the processor's part.

const MIB = 1024 * 1024
const TOTAL_BYTES = 512 * MIB
const FRAME_BYTES = 128 * 1024

const folder = await mkdtemp(join(process.argv[2] ?? tmpdir(), 'dimsegate-bench-'))
console.log('block       sealed  write MB/s  read MB/s  frames/s')
for (const size of [64 * 1024, BLOCK_BYTES, MIB]) {
  for (const isSealed of [false, true]) {
    const { write, read, frames } = await measured(size, isSealed)
    const cells = [`${size / 1024} KiB`.padEnd(11), String(isSealed).padEnd(7), ...[write, read, frames].map(rounded)]
    console.log(cells.join(' '))
  }
}
await rm(folder, { recursive: true })

async function measured(size: number, isSealed: boolean): Promise<{ write: number; read: number; frames: number }> {
  const cipher = new BlockCipher()
  const plain = randomBytes(size)
  const blocks = TOTAL_BYTES / size
  const file = await open(join(folder, 'file'), 'w+')
  const place = (block: number): number => block * (size + TAG_BYTES)
  const readBlock = async (block: number): Promise<void> => {
    const bytes = Buffer.allocUnsafeSlow(size + TAG_BYTES)
    await file.read(bytes, 0, bytes.length, place(block))
    if (isSealed) cipher.open(block, bytes)
  }
  const write = await perSecond(TOTAL_BYTES / 1e6, async () => {
    const tag = Buffer.alloc(TAG_BYTES)
    for (let block = 0; block < blocks; block++) {
      await file.writev(isSealed ? cipher.seal([plain]) : [plain, tag], place(block))
    }
  })
  const read = await perSecond(TOTAL_BYTES / 1e6, async () => {
    for (let block = 0; block < blocks; block++) await readBlock(block)
  })
  const count = 1000
  const frames = await perSecond(count, async () => {
    for (let frame = 0; frame < count; frame++) {
      const [first, end] = [frame * FRAME_BYTES, (frame + 1) * FRAME_BYTES]
      for (let block = Math.floor(first / size); block * size < end; block++) await readBlock(block)
    }
  })
  await file.close()
  return { write, read, frames }
}

async function perSecond(amount: number, work: () => Promise<void>): Promise<number> {
  const from = performance.now()
  await work()
  return amount / ((performance.now() - from) / 1000)
}

function rounded(value: number): string {
  return String(Math.round(value)).padStart(10)
}
