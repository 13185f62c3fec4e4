import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { zip, type ZipEntry } from '../../../src/dicomweb/encode/zip.ts'
import { collect } from '../../support/byte-stream.ts'

const folder = mkdtempSync(join(tmpdir(), 'dimsegate-zip-'))
const DATE = new Date('2026-02-03T04:05:06Z')

afterAll(() => rmSync(folder, { recursive: true, force: true }))

async function* streamOf(...pieces: readonly (Buffer | Error)[]): AsyncGenerator<Uint8Array> {
  for (const piece of pieces) {
    await Promise.resolve()
    if (piece instanceof Error) throw piece
    yield piece
  }
}

async function* entries(all: Readonly<Record<string, readonly (Buffer | Error)[]>>): AsyncGenerator<ZipEntry> {
  for (const [name, pieces] of Object.entries(all)) {
    await Promise.resolve()
    yield { name, body: streamOf(...pieces) }
  }
}

function isThere(command: string, ...args: string[]): boolean {
  try {
    execFileSync(command, args, { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}

/** What Python's zipfile finds: each name, its size and the digest of its bytes. */
function byPython(archive: Uint8Array): Record<string, [number, string]> {
  const file = join(folder, 'python.zip')
  writeFileSync(file, archive)
  const script = `
import hashlib, json, sys, zipfile
with zipfile.ZipFile(sys.argv[1]) as archive:
    assert archive.testzip() is None
    print(json.dumps({i.filename: [i.file_size, hashlib.md5(archive.read(i)).hexdigest()] for i in archive.infolist()}))
`
  return JSON.parse(
    execFileSync('python3', ['-c', script, file], { stdio: 'pipe', maxBuffer: 64 << 20 }).toString(),
  ) as Record<string, [number, string]>
}

const hasPython = isThere('python3', '--version')
const hasUnzip = isThere('unzip', '-v')
const MD5_OF_ABC = '900150983cd24fb0d6963f7d28e17f72'

describe('a ZIP archive', () => {
  const made = {
    '1.2/3/4.dcm': [Buffer.from('a'), Buffer.from('bc')],
    '1.2/3/5.dcm': [],
    'ä.dcm': [Buffer.from('abc')],
  }

  it.skipIf(!hasPython)('is understood by Python', async () => {
    expect(byPython(await collect(zip(entries(made), DATE)))).toEqual({
      '1.2/3/4.dcm': [3, MD5_OF_ABC],
      '1.2/3/5.dcm': [0, 'd41d8cd98f00b204e9800998ecf8427e'],
      'ä.dcm': [3, MD5_OF_ABC],
    })
  })

  it.skipIf(!hasUnzip)('is understood by unzip', async () => {
    const file = join(folder, 'unzip.zip')
    writeFileSync(file, await collect(zip(entries(made), DATE)))
    expect(execFileSync('unzip', ['-t', file]).toString()).toContain('No errors detected')
    expect(execFileSync('unzip', ['-Z', '-l', file]).toString()).toMatch(/-rw-r--r-- .*26-Feb-03 04:05 1\.2\/3\/4\.dcm/)
  })

  it.skipIf(!hasPython)('may be empty', async () => {
    expect(byPython(await collect(zip(entries({}), DATE)))).toEqual({})
  })

  it.skipIf(!hasPython)('may have more files than 16 bits count', { timeout: 60_000 }, async () => {
    const names = Array.from({ length: 66_000 }, (_, n) => String(n))
    const found = byPython(await collect(zip(entries(Object.fromEntries(names.map((name) => [name, []]))), DATE)))
    expect(Object.keys(found)).toHaveLength(names.length)
  })

  it('may be longer than 32 bits count', { timeout: 60_000 }, async () => {
    const block = Buffer.alloc(64 * 1024 * 1024)
    const large = Array.from({ length: 65 }, () => block)
    let tail = Buffer.alloc(0)
    let size = 0
    for await (const piece of zip(entries({ large, last: [Buffer.from('x')] }), DATE)) {
      size += piece.length
      tail = Buffer.concat([tail, piece.subarray(-400)]).subarray(-400)
    }
    const end = tail.subarray(-98)
    expect(end.readUInt32LE(0)).toBe(0x06064b50)
    const [entriesOf, length, offset] = [32, 40, 48].map((at) => Number(end.readBigUInt64LE(at)))
    expect([entriesOf, length! + offset! + end.length]).toEqual([2, size])
    const directory = tail.subarray(-98 - length!, -98)
    expect(Number(directory.readBigUInt64LE(46 + 'large'.length + 4))).toBe(65 * block.length)
    const last = directory.subarray(46 + 'large'.length + 28)
    expect(Number(last.readBigUInt64LE(46 + 'last'.length + 20))).toBeGreaterThan(2 ** 32)
  })

  it.skipIf(!hasPython)('that fails, or is cut anywhere, is none', async () => {
    const given: Uint8Array[] = []
    const reading = async (): Promise<void> => {
      const failing = entries({ a: [Buffer.from('abc')], b: [Buffer.from('x'), new Error('the archive is gone')] })
      for await (const piece of zip(failing, DATE)) given.push(piece)
    }
    await expect(reading()).rejects.toThrow('the archive is gone')
    expect(() => byPython(Buffer.concat(given))).toThrow()
    const whole = await collect(zip(entries({ a: [Buffer.from('abc')] }), DATE))
    for (const length of [0, 10, 60, whole.length - 100, whole.length - 22, whole.length - 1]) {
      expect(() => byPython(whole.subarray(0, length))).toThrow()
    }
  })
})
