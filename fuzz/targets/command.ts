import { decodeCommand, encodeCommand, InvalidCommandError, type Command } from '../../src/dimse/command.ts'
import { UnencodableTextError } from '../../src/dicom/charset.ts'
import { InvalidValueError } from '../../src/dicom/value.ts'
import { golden, CT } from '../../test/support/golden.ts'
import { BrokenPropertyError, same, tokens, type Target } from '../target.ts'

const commands: readonly Command[] = [
  { type: 'C-ECHO-RQ', messageId: 1, hasDataSet: false, affectedSopClassUid: '1.2.840.10008.1.1' },
  {
    ...{ type: 'C-STORE-RQ', messageId: 7, hasDataSet: true, affectedSopClassUid: CT, affectedSopInstanceUid: '1.2.3' },
    ...{ priority: 0, moveOriginatorAeTitle: 'MOVER', moveOriginatorMessageId: 3 },
  },
  {
    type: 'C-MOVE-RQ',
    messageId: 2,
    hasDataSet: true,
    affectedSopClassUid: '1.2',
    moveDestination: 'HERE',
    priority: 1,
  },
  {
    ...{ type: 'C-GET-RSP', messageIdBeingRespondedTo: 2, status: 0xff00, hasDataSet: false },
    ...{ remaining: 3, completed: 2, failed: 1, warning: 0 },
  },
  {
    ...{ type: 'C-FIND-RSP', messageIdBeingRespondedTo: 9, status: 0xa900, hasDataSet: true },
    ...{ errorComment: 'No', offendingElement: ['00100010', '00100020'] },
  },
]

/** Command sets (PS3.7 6.3). */
export const command: Target = {
  name: 'command',
  errors: [InvalidCommandError],
  dictionary: tokens(
    ...[0x0000, 0x0002, 0x0003, 0x0100, 0x0110, 0x0120, 0x0600, 0x0700, 0x0800, 0x0900, 0x0901, 0x0902, 0x1000].map(
      tag,
    ),
    ...[0x1001, 0x1002, 0x1008, 0x1020, 0x1021, 0x1022, 0x1023, 0x1030, 0x1031].map(tag),
    ...[
      '\x02\0\0\0',
      '\x01\x01',
      '\x01\x80',
      '\x10\x80',
      '\x20\x80',
      '\x21\x80',
      '\x30\0',
      '\xff\x0f',
      '\x30\x81',
      '\0\x81',
    ],
  ),
  async seeds() {
    return [golden.cancelRequest, ...commands.map(encodeCommand)]
  },
  run(input) {
    const read = decodeCommand(input)
    let written
    try {
      written = encodeCommand(read)
    } catch (error) {
      // What a peer wrote need not be writable: text beyond ASCII.
      if (error instanceof InvalidValueError || error instanceof UnencodableTextError) return
      throw error
    }
    if (written.length % 2 !== 0) throw new BrokenPropertyError('A command set has an odd length')
    same(
      'A command that is written and read again is another',
      JSON.stringify(sorted(read)),
      JSON.stringify(sorted(decodeCommand(written))),
    )
  },
}

function tag(element: number): Buffer {
  return Buffer.of(0, 0, element & 0xff, element >>> 8)
}

function sorted(read: Command): [string, unknown][] {
  // What has nothing in it is read as empty, and not written.
  const entries = Object.entries(read).filter(
    ([, value]) => value !== '' && (!Array.isArray(value) || value.length > 0),
  )
  return entries.sort(([a], [b]) => (a < b ? -1 : 1))
}
