import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { DatasetReader } from '../../../src/dicom/dataset-codec.ts'
import { readPart10 } from '../../../src/dicom/part10.ts'
import { inflate } from '../../../src/dicom/recode.ts'
import { encodeXml } from '../../../src/dicomweb/encode/xml.ts'
import { streamOf } from '../../support/byte-stream.ts'
import { even, nextTo } from '../../support/dcm2json.ts'
import { turned } from '../../support/dicom-bytes.ts'
import { findProgram } from '../../support/peers.ts'
import { daikonFiles, testdataFiles } from '../../support/testdata.ts'
import { parseXml, type XmlElement } from '../../support/xml.ts'

// Every file that dcm2xml can read and turn into UTF-8, attribute by attribute. What may differ is said in
// `isPassedOver`, `alike`, `isRepeated` and `sameText`, and nowhere else.

const program = findProgram('dcm2xml')
const folders = ['charset', 'ct-3slice', 'dcmqi', 'pydicom', 'wg04'] as const
const files = [...daikonFiles(), ...folders.flatMap(testdataFiles)]

describe.skipIf(program === undefined && process.env['CI'] !== 'true')(
  'Native DICOM Model and dcm2xml of DCMTK',
  () => {
    let folder: string
    let compared = 0
    let offered = 0

    beforeAll(async () => {
      folder = await mkdtemp(join(tmpdir(), 'dimsegate-xml-'))
    })

    afterAll(async () => {
      await rm(folder, { recursive: true, force: true })
    })

    it.each(files.map((file) => [file.split('/').slice(-2).join('/'), file]))('agree on %s', async (_, file) => {
      offered++
      const bytes = await readFile(file)
      const path = join(folder, 'file.dcm')
      await writeFile(path, bytes)
      const theirs = await dcm2xml(path)
      if (theirs === undefined) return
      compared++
      const ours = await toXml(bytes)
      expect(ours.attributes).toEqual(theirs.attributes)
      expect(differences(ours, theirs, '')).toEqual([])
    })

    it('were compared on nearly all files: the others are broken, or in character sets that dcm2xml cannot convert', () => {
      expect(offered - compared).toBeLessThanOrEqual(10)
    })
  },
)

/** Undefined where it cannot read the file. */
async function dcm2xml(path: string): Promise<XmlElement | undefined> {
  const options = ['--native-format', '--use-xml-namespace', '--load-all', '--encode-base64', '--convert-to-utf8']
  let document: string
  try {
    const { stdout } = await promisify(execFile)(program!, [...options, '-q', path], { maxBuffer: 256 * 1024 * 1024 })
    document = stdout
  } catch {
    return undefined
  }
  return parseXml(document)
}

async function toXml(bytes: Buffer): Promise<XmlElement> {
  const { syntax, body } = await readPart10(streamOf([bytes]))
  const reader = new DatasetReader(syntax)
  for await (const chunk of syntax.deflated ? inflate(body) : body) reader.push(chunk)
  return parseXml(encodeXml(reader.end()))
}

function differences(ours: XmlElement, theirs: XmlElement, path: string): string[] {
  const own = ours.children.filter((one) => !isPassedOver(one))
  const other = theirs.children.filter((one) => !isPassedOver(one))
  const [keys, otherKeys] = [own.map(keyOf), other.map(keyOf)]
  if (keys.join() !== otherKeys.join()) {
    const added = keys.filter((key) => !otherKeys.includes(key))
    const missing = otherKeys.filter((key) => !keys.includes(key))
    return [`${path}only ours: ${added.join()}; only of dcm2xml: ${missing.join()}`]
  }
  return own.flatMap((one, at) => attributeDifferences(one, other[at]!, `${path}${keys[at]}`))
}

function attributeDifferences(ours: XmlElement, theirs: XmlElement, place: string): string[] {
  if (ours.attributes['vr'] === 'SQ' && theirs.attributes['vr'] === 'SQ') {
    const [items, others] = [ours.children, theirs.children]
    if (items.length !== others.length) return [`${place}: ${items.length} items, dcm2xml ${others.length}`]
    return items.flatMap((item, index) => differences(item, others[index]!, `${place}/${index}/`))
  }
  return alike(ours, theirs) ? [] : [`${place}: ${excerpt(ours)}, dcm2xml ${excerpt(theirs)}`]
}

function isPassedOver({ attributes: { tag } }: XmlElement): boolean {
  // Not part of the model (PS3.18 10.4.3.3.2); dcm2xml lets them through.
  if (tag!.startsWith('0000') || tag === 'FFFCFFFC') return true
  // It names the set of the XML text there, also where the file has none; we keep the source's, as in JSON.
  return tag === '00080005'
}

function keyOf({ attributes: { tag, privateCreator } }: XmlElement): string {
  return privateCreator === undefined ? tag! : `${tag} of ${privateCreator}`
}

function alike(ours: XmlElement, theirs: XmlElement): boolean {
  const [{ vr, keyword }, other] = [ours.attributes, theirs.attributes]
  // Encapsulated Pixel Data is OB by PS3.5 A.4, which DCMTK writes where a file says OW; ours is what the file says.
  const encapsulated = ours.attributes['tag'] === '7FE00010' && ours.children.length === 0
  // It keeps UN where the dictionary knows the VR (PS3.5 6.2.2).
  if (vr !== 'UN' && other['vr'] === 'UN') return true
  if (vr !== other['vr'] && !(encapsulated && other['vr'] === 'OB')) return false
  // It knows no keywords of retired attributes.
  if (keyword !== other['keyword'] && other['keyword'] !== undefined) return false
  const own = leavesOf(ours)
  // It writes an empty binary value for encapsulated Pixel Data.
  const filled = leavesOf(theirs).filter(({ path, text }) => text !== '' || !path.includes('InlineBinary'))
  const written = vr === 'PN' ? filled.filter((leaf) => !isRepeated(leaf, filled, own)) : filled
  return (
    own.length === written.length &&
    own.every((leaf, at) => leaf.path === written[at]!.path && sameText(vr!, leaf.text, written[at]!.text))
  )
}

interface Leaf {
  readonly path: string
  readonly text: string
}

const PARENTS = ['PersonName', 'Alphabetic', 'Ideographic', 'Phonetic']

/** What an attribute has inside, with the path to it; dcm2xml has line feeds between elements, which say nothing. */
function leavesOf(element: XmlElement): Leaf[] {
  return element.children.flatMap((child) => {
    const name = child.name + (child.attributes['number'] ?? '')
    if (!PARENTS.includes(child.name)) return [{ path: name, text: child.text }]
    return leavesOf(child).map(({ path, text }) => ({ path: `${name}/${path}`, text }))
  })
}

/** In place of an empty component group DCMTK writes the one before it once more. */
function isRepeated({ path, text }: Leaf, theirs: readonly Leaf[], ours: readonly Leaf[]): boolean {
  const [group, component] = [path.slice(0, path.lastIndexOf('/') + 1), path.slice(path.lastIndexOf('/'))]
  if (ours.some((leaf) => leaf.path.startsWith(group))) return false
  const before = theirs.slice(
    0,
    theirs.findIndex((leaf) => leaf.path === path),
  )
  return before.findLast((leaf) => leaf.path.endsWith(component))?.text === text
}

function sameText(vr: string, ours: string, theirs: string): boolean {
  switch (vr) {
    case 'OB':
    case 'UN':
    case 'OW':
    case 'OF':
    case 'OL':
    case 'OD':
    case 'OV':
      // DCMTK 3.6.7 turns the words to Big Endian before it encodes them; the default of PS3.18 8.7.3.3 is Little Endian.
      return even(ours).equals(turned(vr, even(theirs)))
    case 'FL':
      // It writes 9 digits, which tell any two 32-bit numbers apart; ours are as few as do.
      return Math.fround(Number(ours)) === Math.fround(Number(theirs))
    case 'FD':
      return nextTo(Number(ours), Number(theirs))
    default:
      return ours === theirs
  }
}

function excerpt(element: XmlElement): string {
  return JSON.stringify([element.attributes, leavesOf(element)]).slice(0, 300)
}
