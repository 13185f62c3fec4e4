import { codestreamKind } from '../../src/imaging/codecs/codestream-kind.ts'
import { mp4Header, UnusableVideoError } from '../../src/imaging/codecs/mp4-header.ts'
import { mp4File } from '../../test/support/mp4.ts'
import { BrokenPropertyError, tokens, type Target } from '../target.ts'

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
    return Promise.resolve([
      mp4File(),
      mp4File({ headerLast: true }),
      ...codestreams.map((hex) => Buffer.from(hex, 'hex')),
    ])
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
