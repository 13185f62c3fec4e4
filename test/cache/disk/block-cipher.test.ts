import { randomBytes } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { BlockCipher, DamagedBlockError, TAG_BYTES } from '../../../src/cache/disk/block-cipher.ts'

const BLOCKS = Array.from({ length: 3 }, (_, n) => Buffer.alloc(1000, `block ${n} `))

function sealed(cipher: BlockCipher, blocks = BLOCKS): Buffer[] {
  return blocks.map((block) => Buffer.concat(cipher.seal([block.subarray(0, 300), block.subarray(300)])))
}

const turned = (block: Buffer, at: number): Buffer => Buffer.from(block.map((byte, n) => (n === at ? byte ^ 1 : byte)))

describe('a sealed block', () => {
  it('opens to what was sealed, and is longer by its tag', () => {
    const cipher = new BlockCipher()
    const all = sealed(cipher)
    expect(all.map((block, n) => cipher.open(n, block))).toEqual(BLOCKS)
    expect(all.map(({ length }) => length)).toEqual([1000, 1000, 1000].map((length) => length + TAG_BYTES))
  })

  it('is never the same twice, though the bytes are', () => {
    const same = [BLOCKS[0]!, BLOCKS[0]!]
    const [first, second] = sealed(new BlockCipher(), same)
    const [other] = sealed(new BlockCipher(), same)
    expect(first).not.toEqual(second)
    expect(first).not.toEqual(other)
  })

  it.each<[string, number, (block: Buffer) => Buffer]>([
    ['with a bit turned over', 0, (block) => turned(block, 500)],
    ['with a bit of its tag turned over', 0, (block) => turned(block, 1001)],
    ['that is too short by a byte', 0, (block) => block.subarray(0, -1)],
    ['of which nothing is left', 0, () => Buffer.alloc(0)],
    ['of another place', 1, (block) => block],
    ['of zeros', 0, () => Buffer.alloc(1016)],
    ['of noise', 0, () => randomBytes(1016)],
  ])('%s does not open', (_, number, change) => {
    const cipher = new BlockCipher()
    const [first] = sealed(cipher)
    expect(() => cipher.open(number, change(first!))).toThrow(DamagedBlockError)
  })

  it('of another file does not open', () => {
    const [block] = sealed(new BlockCipher())
    expect(() => new BlockCipher().open(0, block!)).toThrow(DamagedBlockError)
  })
})
