import { codestreamKind } from '../../src/imaging/codecs/codestream-kind.ts'
import { mp4Header, UnusableVideoError } from '../../src/imaging/codecs/mp4-header.ts'
import { BrokenPropertyError, tokens, type Target } from '../target.ts'

function box(type: string, ...parts: readonly Uint8Array[]): Buffer {
  const content = Buffer.concat(parts)
  const header = Buffer.alloc(8)
  header.writeUInt32BE(8 + content.length)
  header.write(type, 4, 'latin1')
  return Buffer.concat([header, content])
}

/** One video track of 50 frames, as far as a header says. */
function video(): Buffer {
  const entry = Buffer.alloc(78)
  entry.writeUInt32BE(0x028001e0, 24)
  const description = box('stsd', Buffer.alloc(8), box('avc1', entry, box('avcC', Buffer.of(1, 100, 0, 41))))
  const times = box('stts', Buffer.from('00000000000000010000003200000028', 'hex'))
  const matrix = Buffer.alloc(84)
  matrix.writeUInt32BE(0x10000, 40)
  matrix.writeUInt32BE(0x10000, 56)
  const media = box(
    'mdia',
    box('mdhd', Buffer.from('000000000000000000000000000003e800000000', 'hex')),
    box('hdlr', Buffer.alloc(8), Buffer.from('vide'), Buffer.alloc(12)),
    box('minf', box('stbl', description, times)),
  )
  return Buffer.concat([box('ftyp', Buffer.from('isom')), box('moov', box('trak', box('tkhd', matrix), media))])
}

const codestreams = [
  'ffd8ffee000e41646f626500640000000001ffc0001108001000180301220002110103110' + '1ffda000c03010002110311003f00aaffd9',
  'ffd8ffc3000b10001000180101110000ffda0008010100010000aaffd9',
  'ff4fff51002f000000000018000000100000000000000000000000180000001000000000000000000003070101070101070101' +
    'ff52000c00000001010504040001ff5c000540404040ff90000a0000000000100001ff93aaffd9',
]

/** What a client sends as a picture or a video: what it is is told by its bytes. */
export const sentMedia: Target = {
  name: 'sent-media',
  errors: [UnusableVideoError],
  dictionary: tokens(
    ...['ftyp', 'moov', 'trak', 'mdia', 'minf', 'stbl', 'stsd', 'stts', 'avcC', 'hvcC', 'hdlr', 'vide', 'tkhd', 'mdhd'],
    ...['\u0000\u0000\u0000\u0001', '\u0000\u0000\u0000\u0000', '\u00ff\u00ff\u00ff\u00ff'],
  ),
  maxLength: 8_192,
  seeds() {
    return Promise.resolve([video(), ...codestreams.map((hex) => Buffer.from(hex, 'hex'))])
  },
  run(input) {
    const kind = codestreamKind(input)
    if (kind && kind.bytes.length > input.length) throw new BrokenPropertyError('It is longer than what was sent')
    const header = mp4Header(input, input.length)
    const isWhole = !header || [header.rows, header.columns, header.frames].every((one) => Number.isSafeInteger(one))
    if (!isWhole) throw new BrokenPropertyError('The header of a video has a number that is none')
    return Promise.resolve()
  },
}
