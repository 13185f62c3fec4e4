import type { Random } from './random.ts'

export interface Material {
  readonly random: Random
  /** What has a meaning to the target: put in as it is. */
  readonly dictionary: readonly Uint8Array[]
  /** Inputs that another may be joined from. */
  readonly corpus: readonly Uint8Array[]
  readonly maxLength: number
}

/** Another input, made of one by a few changes. */
export function mutate(input: Uint8Array, material: Material): Buffer {
  const { random, maxLength } = material
  let bytes = Buffer.from(input)
  for (let changes = 1 << random.below(4); changes > 0; changes--) {
    bytes = Buffer.from(random.of(CHANGES)(bytes, material).subarray(0, maxLength))
  }
  // Work that grows faster than its input shows only where that is large.
  return random.oneIn(FILLED_ONE_IN) ? fill(bytes, material) : bytes
}

const FILLED_ONE_IN = 400

type Change = (bytes: Buffer, material: Material) => Buffer

const CHANGES: readonly Change[] = [
  flipBit,
  setByte,
  setByte,
  add,
  add,
  setNumber,
  setNumber,
  putToken,
  putToken,
  insertToken,
  insertToken,
  insertToken,
  insertBytes,
  remove,
  remove,
  copyWithin,
  duplicate,
  repeat,
  truncate,
  splice,
  splice,
  putDigits,
]

const EDGES = [0, 1, 2, 4, 8, 16, 64, 100, 255, 256, 512, 1000, 1024, 4096, 65_535, 65_536]
const NEAR_LIMITS = [0x7f, 0x80, 0xff, 0x7fff, 0x8000, 0xfffe, 0xffff, 0x7fffffff, 0x80000000, 0xfffffffe, 0xffffffff]
const NUMBERS = [...EDGES, ...NEAR_LIMITS]
const MAX_BLOCK = 256

function flipBit(bytes: Buffer, { random }: Material): Buffer {
  if (bytes.length > 0) bytes[random.below(bytes.length)]! ^= 1 << random.below(8)
  return bytes
}

function setByte(bytes: Buffer, { random }: Material): Buffer {
  if (bytes.length > 0) bytes[random.below(bytes.length)] = random.below(256)
  return bytes
}

function add(bytes: Buffer, { random }: Material): Buffer {
  return writeNumber(bytes, random, (value) => value + random.below(71) - 35)
}

/** An edge, or how many bytes follow: what a length may say. */
function setNumber(bytes: Buffer, { random }: Material): Buffer {
  return writeNumber(bytes, random, (_, left) => (random.oneIn(3) ? left + random.below(5) - 2 : random.of(NUMBERS)))
}

function writeNumber(bytes: Buffer, random: Random, change: (value: number, left: number) => number): Buffer {
  const size = random.of([1, 2, 2, 4, 4])
  if (bytes.length < size) return bytes
  const at = random.below(bytes.length - size + 1)
  const isLittle = random.oneIn(2)
  const value = isLittle ? bytes.readUIntLE(at, size) : bytes.readUIntBE(at, size)
  const most = 2 ** (8 * size)
  const changed = (((change(value, bytes.length - at - size) % most) + most) % most) >>> 0
  if (isLittle) bytes.writeUIntLE(changed, at, size)
  else bytes.writeUIntBE(changed, at, size)
  return bytes
}

function putToken(bytes: Buffer, { random, dictionary }: Material): Buffer {
  if (dictionary.length === 0) return bytes
  const at = random.below(bytes.length)
  bytes.set(random.of(dictionary).subarray(0, bytes.length - at), at)
  return bytes
}

function insertToken(bytes: Buffer, { random, dictionary }: Material): Buffer {
  return dictionary.length > 0 ? inserted(bytes, random.below(bytes.length + 1), random.of(dictionary)) : bytes
}

function insertBytes(bytes: Buffer, { random }: Material): Buffer {
  const block = Buffer.alloc(1 + random.below(16), random.below(256))
  if (random.oneIn(2)) for (let n = 0; n < block.length; n++) block[n] = random.below(256)
  return inserted(bytes, random.below(bytes.length + 1), block)
}

function remove(bytes: Buffer, { random }: Material): Buffer {
  const [from, to] = block(bytes, random)
  return Buffer.concat([bytes.subarray(0, from), bytes.subarray(to)])
}

function copyWithin(bytes: Buffer, { random }: Material): Buffer {
  const [from, to] = block(bytes, random)
  return bytes.copyWithin(random.below(bytes.length), from, to)
}

function duplicate(bytes: Buffer, { random }: Material): Buffer {
  const [from, to] = block(bytes, random)
  return inserted(bytes, random.below(bytes.length + 1), bytes.subarray(from, to))
}

function repeat(bytes: Buffer, { random, maxLength }: Material): Buffer {
  const [from, to] = block(bytes, random)
  const times = Math.min(1 << random.below(9), Math.floor(maxLength / Math.max(to - from, 1)))
  return inserted(bytes, to, Buffer.concat(Array<Buffer>(times).fill(bytes.subarray(from, to))))
}

/** A small block again and again, up to the greatest length. */
function fill(bytes: Buffer, { random, maxLength, dictionary }: Material): Buffer {
  const at = random.below(bytes.length + 1)
  const token = dictionary.length > 0 && random.oneIn(2) ? random.of(dictionary) : undefined
  const part = token ?? bytes.subarray(at, at + 1 + random.below(24))
  if (part.length === 0 || bytes.length >= maxLength) return bytes
  return inserted(bytes, at, Buffer.alloc(maxLength - bytes.length, part))
}

function truncate(bytes: Buffer, { random }: Material): Buffer {
  return random.oneIn(4) ? bytes.subarray(0, random.below(bytes.length + 1)) : bytes
}

function splice(bytes: Buffer, { random, corpus }: Material): Buffer {
  if (corpus.length === 0) return bytes
  const other = Buffer.from(random.of(corpus))
  if (random.oneIn(2)) {
    const [from, to] = block(other, random)
    return inserted(bytes, random.below(bytes.length + 1), other.subarray(from, to))
  }
  return Buffer.concat([
    bytes.subarray(0, random.below(bytes.length + 1)),
    other.subarray(random.below(other.length + 1)),
  ])
}

/** A number in text becomes another. */
function putDigits(bytes: Buffer, { random }: Material): Buffer {
  const text = bytes.toString('latin1')
  const found = [...text.slice(0, 4096).matchAll(/\d+/g)]
  if (found.length === 0) return bytes
  const { index, 0: digits } = random.of(found)
  const other = random.oneIn(4) ? '9'.repeat(1 + random.below(40)) : String(random.of(NUMBERS))
  return Buffer.from(text.slice(0, index) + other + text.slice(index + digits.length), 'latin1')
}

function inserted(bytes: Buffer, at: number, block: Uint8Array): Buffer {
  return Buffer.concat([bytes.subarray(0, at), block, bytes.subarray(at)])
}

function block(bytes: Buffer, random: Random): [from: number, to: number] {
  const from = random.below(bytes.length)
  const to = from + 1 + random.below(random.oneIn(8) ? bytes.length : Math.min(MAX_BLOCK, 1 << random.below(9)))
  return [from, Math.min(to, bytes.length)]
}
