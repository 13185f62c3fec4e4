import { readFile } from 'node:fs/promises'
import fc from 'fast-check'
import { Attribute } from '../src/dicom/attributes.ts'
import { daikonFiles, testdataFiles } from '../test/support/testdata.ts'
import { MAX_INPUT_BYTES } from './target.ts'

/** Files of others, each cut to its beginning: what is read of a file is mostly there. */
export async function files(maxLength = MAX_INPUT_BYTES): Promise<Buffer[]> {
  // One of the volume is as good as all.
  const own = daikonFiles().filter((file) => !file.includes('volume') || file.endsWith('brain_002.dcm'))
  const shared = (['charset', 'dcmqi', 'pydicom'] as const).flatMap(testdataFiles)
  const bytes = await Promise.all([...own, ...shared].map((file) => readFile(file)))
  return bytes.map((one) => one.subarray(0, maxLength))
}

/** Values of a generator, the same at each run. */
export function made<T>(arbitrary: fc.Arbitrary<T>, count: number): T[] {
  return fc.sample(arbitrary, { seed: 1, numRuns: count })
}

/** Tags of attributes that readers look at, as both byte orders have them; delimiters; VRs; lengths. */
export const dataSetTokens: readonly Uint8Array[] = [
  ...[...new Set(Object.values(Attribute))].flatMap((tag) => [tagBytes(tag, false), tagBytes(tag, true)]),
  ...['feff00e000000000', 'feff00e0ffffffff', 'feff0de000000000', 'feffdde000000000', 'ffffffff', '00000000'].map(
    (hex) => Buffer.from(hex, 'hex'),
  ),
  ...['fffee00000000000', 'fffee000ffffffff', 'fffee00d00000000', 'fffee0dd00000000'].map((hex) =>
    Buffer.from(hex, 'hex'),
  ),
  ...['SQ\0\0\xff\xff\xff\xff', 'UN\0\0\xff\xff\xff\xff', 'OB\0\0\xff\xff\xff\xff', 'OW\0\0\xff\xff\xff\xff'],
  ...[
    'AE AS AT CS DA DS DT FL FD IS LO LT OB OD OF OL OV OW PN SH SL SQ SS ST SV TM UC UI UL UN UR US UT UV'.split(' '),
  ].flat(),
  ...[
    'ISO 2022 IR 87',
    'ISO 2022 IR 149',
    'GB18030',
    'ISO_IR 192',
    'ISO_IR 100',
    '\\',
    '^',
    '=',
    '\x1b$B',
    '\x1b(B',
    '\x1b$)C',
  ],
  ...[
    '1.2.840.10008.1.2.1',
    '1',
    '65535',
    '-1',
    '1e400',
    'NaN',
    '\xff\xd8\xff',
    '\xff\xd9',
    '\xff\x4f\xff\x51',
    '??',
    '  ',
  ],
].map((token) => (typeof token === 'string' ? Buffer.from(token, 'latin1') : token))

function tagBytes(tag: number, bigEndian: boolean): Buffer {
  const bytes = Buffer.alloc(4)
  const [group, element] = [tag >>> 16, tag & 0xffff]
  if (bigEndian) {
    bytes.writeUInt16BE(group, 0)
    bytes.writeUInt16BE(element, 2)
  } else {
    bytes.writeUInt16LE(group, 0)
    bytes.writeUInt16LE(element, 2)
  }
  return bytes
}
