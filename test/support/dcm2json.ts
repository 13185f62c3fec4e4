import { execFile } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { promisify } from 'node:util'
import { findProgram } from './peers.ts'

// DICOM JSON as DCMTK writes it, and where ours differs. What may differ is said in `alike`, and nowhere else.

/** An attribute of the DICOM JSON model (PS3.18 F.2). */
export interface JsonAttribute {
  readonly vr: string
  readonly Value?: readonly unknown[]
  readonly InlineBinary?: string
  readonly BulkDataURI?: string
}

export type JsonDataset = Readonly<Record<string, JsonAttribute>>

export interface JsonCompareOptions {
  /** The name of the file, of which DCMTK may be known to make something else. */
  readonly file: string
  /** Somewhere on the way the data set was in Implicit VR: of private and unknown elements the VR is lost. */
  readonly looseVrs?: boolean
}

const program = findProgram('dcm2json')

/** Nothing to compare with, and nobody insists: under CI=true the tests run, and so fail. */
export function skipWithoutDcm2json(): boolean {
  return program === undefined && process.env['CI'] !== 'true'
}

/** DCMTK 3.6.7 does not convert the text of items that have a character set of their own. */
const ITEMS_LEFT_UNCONVERTED = new Set(['chrSQEncoding.dcm'])

/**
 * The data set of a file as dcm2json has it, encapsulated Pixel Data left out; undefined where it cannot read the file:
 * because it is broken, or in character sets that dcm2json cannot convert.
 */
export async function dcm2json(file: Buffer): Promise<JsonDataset | undefined> {
  const folder = await mkdtemp(join(tmpdir(), 'dimsegate-json-'))
  try {
    const path = join(folder, 'file.dcm')
    await writeFile(path, withoutFragments(file))
    const { stdout } = await promisify(execFile)(program!, ['-fc', '-q', path], { maxBuffer: 256 * 1024 * 1024 })
    return JSON.parse(stdout) as JsonDataset
  } catch {
    return undefined
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

/** dcm2json refuses encapsulated Pixel Data, the last element of every file here: it is cut off. */
export function withoutFragments(bytes: Buffer): Buffer {
  for (const vr of ['OB', 'OW']) {
    const header = Buffer.concat([Buffer.from('e07f1000', 'hex'), Buffer.from(vr), Buffer.from('0000ffffffff', 'hex')])
    const at = bytes.indexOf(header)
    if (at >= 0) return bytes.subarray(0, at)
  }
  return bytes
}

/** Where our data set differs from dcm2json's, attribute by attribute: a line for each. */
export function jsonDifferences(
  ours: JsonDataset,
  theirs: JsonDataset,
  options: JsonCompareOptions,
  path = '',
): string[] {
  const tags = [...new Set([...Object.keys(ours), ...Object.keys(theirs)])].sort()
  return tags.flatMap((tag) => {
    // Not part of the model (PS3.18 10.4.3.3.2); dcm2json lets it through.
    if (tag === 'FFFCFFFC' && !(tag in ours)) return []
    const [own, other] = [ours[tag], theirs[tag]]
    if (own?.vr === 'SQ' && other?.vr === 'SQ') {
      const [items, others] = [own.Value ?? [], other.Value ?? []] as JsonDataset[][]
      if (items!.length !== others!.length) return [`${path}${tag}: ${items!.length} items, dcm2json ${others!.length}`]
      return items!.flatMap((item, index) => jsonDifferences(item, others![index]!, options, `${path}${tag}/${index}/`))
    }
    if (own !== undefined && other !== undefined && alike(tag, own, other, options, path)) return []
    return [`${path}${tag}: ${excerpt(own)}, dcm2json ${excerpt(other)}`]
  })
}

function alike(
  tag: string,
  ours: JsonAttribute,
  theirs: JsonAttribute,
  { file, looseVrs = false }: JsonCompareOptions,
  path: string,
): boolean {
  // It keeps UN where the dictionary knows the VR (PS3.5 6.2.2).
  if (ours.vr !== theirs.vr) return theirs.vr === 'UN' || (looseVrs && ours.vr === 'UN')
  // It names the set of the JSON text; PS3.18 F.2.2 (2025) and we keep the source's.
  if (tag === '00080005' && JSON.stringify(theirs.Value) === '["ISO_IR 192"]') return true
  if (ours.InlineBinary !== undefined && theirs.InlineBinary !== undefined) {
    // A value of odd length, which PS3.5 7.1.1 forbids, is padded by DCMTK as it is read.
    return even(ours.InlineBinary).equals(even(theirs.InlineBinary))
  }
  const [one, other] = [ours.Value ?? [], theirs.Value ?? []]
  switch (ours.vr) {
    case 'PN':
      if (path !== '' && ITEMS_LEFT_UNCONVERTED.has(basename(file))) return true
      return JSON.stringify(withoutCarets(one)) === JSON.stringify(withoutCarets(other))
    case 'FL':
      // It writes 9 digits, which tell any two 32-bit numbers apart; ours are those of the 64-bit number.
      return (
        one.length === other.length && one.every((n, at) => Math.fround(Number(n)) === Math.fround(Number(other[at])))
      )
    case 'FD':
      return one.length === other.length && one.every((n, at) => nextTo(Number(n), Number(other[at])))
    default:
      return JSON.stringify(ours) === JSON.stringify(theirs)
  }
}

/** DCMTK drops delimiters of empty components at the end of a group, and a group that has no others. */
function withoutCarets(names: readonly unknown[]): object[] {
  return (names as Record<string, string>[]).flatMap((name) => {
    const groups = Object.entries(name).map(([group, text]) => [group, text.replace(/\^+$/, '')])
    const filled = groups.filter(([, text]) => text !== '')
    return filled.length === 0 ? [] : [Object.fromEntries(filled) as object]
  })
}

/** A value of odd length, which PS3.5 7.1.1 forbids, is padded by DCMTK as it is read. */
export function even(base64: string): Buffer {
  const bytes = Buffer.from(base64, 'base64')
  return bytes.length % 2 === 0 ? bytes : Buffer.concat([bytes, Buffer.of(0)])
}

/** The same number, or neighbours: DCMTK's own conversion to text (OFStandard::ftoa) is off by one unit at times. */
export function nextTo(a: number, b: number): boolean {
  const bits = (n: number): bigint => {
    const view = new DataView(new ArrayBuffer(8))
    view.setFloat64(0, n)
    return view.getBigInt64(0)
  }
  const apart = bits(a) - bits(b)
  return apart >= -1n && apart <= 1n
}

function excerpt(attribute: JsonAttribute | undefined): string {
  return attribute === undefined ? 'nothing' : JSON.stringify(attribute).slice(0, 200)
}
