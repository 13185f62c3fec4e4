import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  CommandField,
  decodeCommand,
  encodeCommand,
  InvalidCommandError,
  type Command,
  type CommandType,
} from '../../src/dimse/command.ts'
import { formatStatus, statusClass, StatusError } from '../../src/dimse/status.ts'
import { aeTitle, uid } from '../support/arbitraries.ts'
import { commandSet, CT, element, golden, hex, readCommandSet, VERIFICATION } from '../support/golden.ts'

const us = fc.integer({ min: 0, max: 0xffff })
const hasDataSet = fc.boolean()
const tag = us.chain((group) => us.map((number) => ((group << 16) | number) >>> 0))
const tags = fc
  .array(tag, { minLength: 1, maxLength: 3 })
  .map((list) => list.map((one) => one.toString(16).toUpperCase().padStart(8, '0')))

const request = { messageId: us, hasDataSet }
const response = {
  messageIdBeingRespondedTo: us,
  status: us,
  hasDataSet,
  affectedSopClassUid: uid,
  errorComment: aeTitle,
  errorId: us,
  offendingElement: tags,
}
const required = ['messageIdBeingRespondedTo', 'status', 'hasDataSet'] as const
const subOperations = { remaining: us, completed: us, failed: us, warning: us }
const service = { affectedSopClassUid: uid }
const requested = { requestedSopClassUid: uid, requestedSopInstanceUid: uid }

/** Any command of a type, optional fields present or not. */
const commands: Record<CommandType, fc.Arbitrary<object>> = {
  'C-ECHO-RQ': fc.record({ ...request, ...service }),
  'C-ECHO-RSP': fc.record(response, { requiredKeys: [...required] }),
  'C-STORE-RQ': fc.record(
    {
      ...request,
      ...service,
      affectedSopInstanceUid: uid,
      priority: us,
      moveOriginatorAeTitle: aeTitle,
      moveOriginatorMessageId: us,
    },
    { requiredKeys: ['messageId', 'hasDataSet', 'affectedSopClassUid', 'affectedSopInstanceUid'] },
  ),
  'C-STORE-RSP': fc.record({ ...response, affectedSopInstanceUid: uid }, { requiredKeys: [...required] }),
  'C-FIND-RQ': fc.record({ ...request, ...service, priority: us }),
  'C-FIND-RSP': fc.record(response, { requiredKeys: [...required] }),
  'C-GET-RQ': fc.record({ ...request, ...service, priority: us }),
  'C-GET-RSP': fc.record({ ...response, ...subOperations }, { requiredKeys: [...required] }),
  'C-MOVE-RQ': fc.record({ ...request, ...service, moveDestination: aeTitle, priority: us }),
  'C-MOVE-RSP': fc.record({ ...response, ...subOperations }, { requiredKeys: [...required] }),
  'C-CANCEL-RQ': fc.record({ messageIdBeingRespondedTo: us, hasDataSet: fc.constant(false) }),
  'N-GET-RQ': fc.record(
    { ...request, ...requested, attributeIdentifierList: tags },
    { requiredKeys: ['messageId', 'hasDataSet', 'requestedSopClassUid', 'requestedSopInstanceUid'] },
  ),
  'N-GET-RSP': fc.record({ ...response, affectedSopInstanceUid: uid }, { requiredKeys: [...required] }),
  'N-SET-RQ': fc.record({ ...request, ...requested }),
  'N-SET-RSP': fc.record({ ...response, affectedSopInstanceUid: uid }, { requiredKeys: [...required] }),
  'N-CREATE-RQ': fc.record(
    { ...request, ...service, affectedSopInstanceUid: uid },
    { requiredKeys: ['messageId', 'hasDataSet', 'affectedSopClassUid'] },
  ),
  'N-CREATE-RSP': fc.record({ ...response, affectedSopInstanceUid: uid }, { requiredKeys: [...required] }),
  'N-ACTION-RQ': fc.record({ ...request, ...requested, actionTypeId: us }),
  'N-ACTION-RSP': fc.record(
    { ...response, affectedSopInstanceUid: uid, actionTypeId: us },
    { requiredKeys: [...required] },
  ),
  'N-EVENT-REPORT-RQ': fc.record({ ...request, ...service, affectedSopInstanceUid: uid, eventTypeId: us }),
  'N-EVENT-REPORT-RSP': fc.record(
    { ...response, affectedSopInstanceUid: uid, eventTypeId: us },
    { requiredKeys: [...required] },
  ),
}
const types = Object.keys(CommandField) as CommandType[]

const echo: Command = { type: 'C-ECHO-RQ', messageId: 1, affectedSopClassUid: VERIFICATION, hasDataSet: false }

describe('golden bytes', () => {
  // Case 118
  it('C-ECHO-RQ', () => {
    const bytes = golden.echoRequest.subarray(12)
    expect(Buffer.from(encodeCommand(echo)).toString('hex')).toBe(bytes.toString('hex'))
    expect(decodeCommand(bytes)).toEqual(echo)
  })

  it('C-ECHO-RSP', () => {
    const fields = { messageIdBeingRespondedTo: 1, affectedSopClassUid: VERIFICATION, status: 0, hasDataSet: false }
    const answer: Command = { type: 'C-ECHO-RSP', ...fields }
    const bytes = golden.echoResponse.subarray(12)
    expect(Buffer.from(encodeCommand(answer)).toString('hex')).toBe(bytes.toString('hex'))
    expect(decodeCommand(bytes)).toEqual(answer)
  })

  it('C-CANCEL-RQ', () => {
    const cancel: Command = { type: 'C-CANCEL-RQ', messageIdBeingRespondedTo: 7, hasDataSet: false }
    expect(Buffer.from(encodeCommand(cancel)).toString('hex')).toBe(golden.cancelRequest.toString('hex'))
    expect(decodeCommand(golden.cancelRequest)).toEqual(cancel)
  })
})

describe.each(types)('%s', (type) => {
  const command = commands[type].map((fields) => ({ type, ...fields }) as Command)

  it('is decoded to what was encoded', () => {
    fc.assert(
      fc.property(command, (one) => {
        expect(decodeCommand(encodeCommand(one))).toEqual(one)
      }),
      { numRuns: 50 },
    )
  })

  it('is written in ascending order, in even values, with the right group length', () => {
    fc.assert(
      fc.property(command, (one) => {
        const bytes = Buffer.from(encodeCommand(one))
        const elements = readCommandSet(bytes)
        expect([...elements.keys()]).toEqual([...elements.keys()].sort())
        expect([...elements.values()].every((value) => value.length % 2 === 0)).toBe(true)
        expect(elements.get('0000')?.readUInt32LE(0)).toBe(bytes.length - 12)
        expect(elements.get('0100')?.readUInt16LE(0)).toBe(CommandField[type])
        expect(elements.get('0800')?.readUInt16LE(0) === 0x0101).toBe(!one.hasDataSet)
      }),
      { numRuns: 20 },
    )
  })

  it('cut within an element is an InvalidCommandError', () => {
    const [one] = fc.sample(command, { numRuns: 1, seed: 1 }) as [Command]
    const bytes = encodeCommand(one)
    let end = 0
    const ends = [0, ...[...readCommandSet(bytes).values()].map((value) => (end += 8 + value.length))]
    for (let length = 0; length < bytes.length; length++) {
      // Zeros at the end are taken for padding.
      const rest = bytes.subarray(
        ends.findLast((one) => one <= length),
        length,
      )
      if (rest.every((byte) => byte === 0)) continue
      expect(() => decodeCommand(bytes.subarray(0, length))).toThrow(InvalidCommandError)
    }
  })
})

describe('what cannot be missing', () => {
  const complete = {
    '0002': CT,
    '0003': CT,
    '0110': 1,
    '0120': 1,
    '0600': 'DEST',
    '0800': 0x0101,
    '0900': 0,
    '1000': '1.2.3',
    '1001': '1.2.3',
    '1002': 1,
    '1008': 1,
  }
  it.each([
    ['C-ECHO-RQ', ['0110']],
    ['C-ECHO-RSP', ['0900']],
    ['C-STORE-RQ', ['0110', '0002', '1000']],
    ['C-STORE-RSP', ['0900']],
    ['C-FIND-RQ', ['0110', '0002']],
    ['C-FIND-RSP', ['0900']],
    ['C-GET-RQ', ['0110', '0002']],
    ['C-GET-RSP', ['0900']],
    ['C-MOVE-RQ', ['0110', '0002', '0600']],
    ['C-MOVE-RSP', ['0900']],
    ['C-CANCEL-RQ', ['0120']],
    ['N-ACTION-RQ', ['0110', '0003', '1001', '1008']],
    ['N-ACTION-RSP', ['0900']],
    ['N-EVENT-REPORT-RQ', ['0110', '0002', '1000', '1002']],
    ['N-EVENT-REPORT-RSP', ['0900']],
  ] as const)('of a %s: %s', (type, needed) => {
    const whole: Record<string, number | string | Buffer> = { ...complete, '0100': CommandField[type] }
    expect(decodeCommand(commandSet(whole)).type).toBe(type)
    for (const number of needed) {
      const { [number]: _, ...without } = whole
      expect(() => decodeCommand(commandSet(without))).toThrow(InvalidCommandError)
      expect(() => decodeCommand(commandSet({ ...whole, [number]: Buffer.alloc(0) }))).toThrow(InvalidCommandError)
    }
  })

  it.each([
    ['no Command Field', commandSet({ '0110': 1, '0800': 0x0101 })],
    ['a Command Field of one byte', commandSet({ '0100': Buffer.of(0x30), '0110': 1 })],
    ['an unknown Command Field', commandSet({ '0100': 0x4242, '0110': 1 })],
    ['no element at all', Buffer.alloc(0)],
    ['a value beyond the end', Buffer.concat([golden.cancelRequest.subarray(0, 12), hex('00000001 ff000000')])],
    ['noise', hex('ffffffffffffffffffffffff')],
  ])('%s', (_, bytes) => {
    expect(() => decodeCommand(bytes)).toThrow(InvalidCommandError)
  })

  it('whatever the bytes, it is a command or an InvalidCommandError', () => {
    fc.assert(
      fc.property(
        fc.nat(golden.echoResponse.length - 13),
        fc.uint8Array({ minLength: 1, maxLength: 8 }),
        (at, noise) => {
          const bytes = Buffer.from(golden.echoResponse.subarray(12))
          bytes.set(noise.subarray(0, bytes.length - at), at)
          try {
            decodeCommand(bytes)
          } catch (error) {
            expect(error).toBeInstanceOf(InvalidCommandError)
          }
        },
      ),
      { numRuns: 1_000 },
    )
  })
})

describe('a UID that is none', () => {
  it('is answered by its own bytes', () => {
    const response = {
      type: 'C-STORE-RSP',
      messageIdBeingRespondedTo: 1,
      affectedSopClassUid: CT,
      affectedSopInstanceUid: '1.2.\xe4',
      status: 0,
      hasDataSet: false,
    } as const
    const bytes = encodeCommand(response)
    expect(readCommandSet(Buffer.from(bytes)).get('1000')).toEqual(Buffer.from('1.2.\xe4\0', 'latin1'))
    expect(decodeCommand(bytes)).toEqual(response)
  })
})

describe('what real peers send', () => {
  const bytes = golden.echoRequest.subarray(12)

  // Case 123
  it.each([
    ['without group length', bytes.subarray(12)],
    ['with a group length of 0', Buffer.concat([element(0, Buffer.alloc(4)), bytes.subarray(12)])],
    ['with a group length that is too large', Buffer.concat([element(0, hex('ffffff7f')), bytes.subarray(12)])],
    ['with a group length that is too small', Buffer.concat([element(0, hex('08000000')), bytes.subarray(12)])],
    ['with an empty group length', Buffer.concat([element(0, Buffer.alloc(0)), bytes.subarray(12)])],
  ])('a command %s', (_, command) => {
    expect(decodeCommand(command)).toEqual(echo)
  })

  it('elements nobody knows, and retired ones', () => {
    const command = commandSet({ '0001': 1, '0002': VERIFICATION, '0100': 0x30, '0110': 1, '0800': 0x0101, '5110': 1 })
    expect(decodeCommand(command)).toEqual(echo)
  })

  it('UIDs and AE titles padded by spaces, NULs or nothing', () => {
    const store = { '0100': 1, '0110': 1, '0800': 0, '1000': Buffer.from('1.2.3 ') }
    for (const sopClass of ['1.2.3', '1.2.3\0', '1.2.3 ', '1.2.3\0\0\0', ' 1.2.3']) {
      const command = commandSet({ ...store, '0002': Buffer.from(sopClass), '1030': Buffer.from('  MOVER\0') })
      expect(decodeCommand(command)).toMatchObject({
        affectedSopClassUid: '1.2.3',
        affectedSopInstanceUid: '1.2.3',
        moveOriginatorAeTitle: 'MOVER',
      })
    }
  })

  it.each([
    [0x0101, false],
    [0x0000, true],
    [0x0001, true],
    [0x0102, true],
    [0xfefe, true],
  ])('a Command Data Set Type of %i', (type, present) => {
    expect(decodeCommand(commandSet({ '0100': 0x8020, '0120': 1, '0800': type, '0900': 0xff00 }))).toMatchObject({
      hasDataSet: present,
    })
  })

  it('no Command Data Set Type is none', () => {
    expect(decodeCommand(commandSet({ '0100': 0x8030, '0120': 1, '0900': 0 }))).toMatchObject({ hasDataSet: false })
  })

  it('a response that does not say to what', () => {
    expect(decodeCommand(commandSet({ '0100': 0x8030, '0800': 0x0101, '0900': 0 }))).toMatchObject({
      messageIdBeingRespondedTo: 0,
    })
  })

  it('counters and comments that are empty are absent', () => {
    const empty = Buffer.alloc(0)
    const command = commandSet({ '0100': 0x8010, '0120': 1, '0800': 0x0101, '0900': 0, '0902': empty, '1020': empty })
    expect(decodeCommand(command)).toEqual({
      type: 'C-GET-RSP',
      messageIdBeingRespondedTo: 1,
      status: 0,
      hasDataSet: false,
    })
  })
})

describe('status', () => {
  it.each([
    [0x0000, 'success'],
    [0xff00, 'pending'],
    [0xff01, 'pending'],
    [0xfe00, 'cancel'],
    [0xb000, 'warning'],
    [0xb007, 'warning'],
    [0xbfff, 'warning'],
    [0x0001, 'warning'],
    [0x0107, 'warning'],
    [0x0116, 'warning'],
    [0xa700, 'failure'],
    [0xa900, 'failure'],
    [0xc000, 'failure'],
    [0xcfff, 'failure'],
    [0x0110, 'failure'],
    [0x0122, 'failure'],
    [0x0211, 'failure'],
    [0x4242, 'failure'],
    [0xff02, 'failure'],
    [0xfe01, 'failure'],
  ])('%i is %s', (status, expected) => {
    expect(statusClass(status)).toBe(expected)
  })

  it('is written as four hexadecimal digits', () => {
    expect([0, 0x0211, 0xa700].map(formatStatus)).toEqual(['0000', '0211', 'A700'])
  })

  it('an error keeps comment and offending elements out of its message', () => {
    const error = new StatusError({
      type: 'C-FIND-RSP',
      messageIdBeingRespondedTo: 1,
      status: 0xa900,
      hasDataSet: false,
      errorComment: 'Doe^John is unknown',
      offendingElement: ['00100010'],
    })
    expect(error).toMatchObject({
      code: 'DIMSE_STATUS',
      operation: 'C-FIND',
      status: 0xa900,
      offendingElement: ['00100010'],
      message: 'C-FIND-RSP with status A900',
    })
  })
})
