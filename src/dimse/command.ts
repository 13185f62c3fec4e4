import { asGiven } from '../dicom/as-given.ts'
import type { Bytes } from '../dicom/bytes.ts'
import { DEFAULT_REPERTOIRE } from '../dicom/charset.ts'
import { withoutPadding } from '../dicom/padding.ts'
import type { Tag } from '../dicom/tag.ts'
import type { Uid } from '../dicom/uids.ts'
import { encodeValues } from '../dicom/value.ts'
import type { Vr } from '../dicom/vr.ts'

/** Values of Command Field (0000,0100) (PS3.7 E.1). */
export const CommandField = {
  'C-STORE-RQ': 0x0001,
  'C-STORE-RSP': 0x8001,
  'C-GET-RQ': 0x0010,
  'C-GET-RSP': 0x8010,
  'C-FIND-RQ': 0x0020,
  'C-FIND-RSP': 0x8020,
  'C-MOVE-RQ': 0x0021,
  'C-MOVE-RSP': 0x8021,
  'C-ECHO-RQ': 0x0030,
  'C-ECHO-RSP': 0x8030,
  'N-EVENT-REPORT-RQ': 0x0100,
  'N-EVENT-REPORT-RSP': 0x8100,
  'N-GET-RQ': 0x0110,
  'N-GET-RSP': 0x8110,
  'N-SET-RQ': 0x0120,
  'N-SET-RSP': 0x8120,
  'N-ACTION-RQ': 0x0130,
  'N-ACTION-RSP': 0x8130,
  'N-CREATE-RQ': 0x0140,
  'N-CREATE-RSP': 0x8140,
  'C-CANCEL-RQ': 0x0fff,
} as const

/** Priority (0000,0700). */
export const Priority = { medium: 0, high: 1, low: 2 } as const

interface Request {
  readonly messageId: number
  /** A data set follows the command. */
  readonly hasDataSet: boolean
}

interface Response {
  readonly messageIdBeingRespondedTo: number
  readonly status: number
  readonly hasDataSet: boolean
  readonly affectedSopClassUid?: Uid
  readonly errorComment?: string
  /** What an application says besides the status (PS3.7 E.1). */
  readonly errorId?: number
  readonly offendingElement?: readonly string[]
}

interface SubOperations {
  readonly remaining?: number
  readonly completed?: number
  readonly failed?: number
  readonly warning?: number
}

/** A DIMSE command set (PS3.7 9.3, 10.3). */
export type Command =
  | (Request & { readonly type: 'C-ECHO-RQ'; readonly affectedSopClassUid: Uid })
  | (Response & { readonly type: 'C-ECHO-RSP' })
  | (Request & {
      readonly type: 'C-STORE-RQ'
      readonly affectedSopClassUid: Uid
      readonly affectedSopInstanceUid: Uid
      readonly priority?: number
      readonly moveOriginatorAeTitle?: string
      readonly moveOriginatorMessageId?: number
    })
  | (Response & { readonly type: 'C-STORE-RSP'; readonly affectedSopInstanceUid?: Uid })
  | (Request & { readonly type: 'C-FIND-RQ'; readonly affectedSopClassUid: Uid; readonly priority?: number })
  | (Response & { readonly type: 'C-FIND-RSP' })
  | (Request & { readonly type: 'C-GET-RQ'; readonly affectedSopClassUid: Uid; readonly priority?: number })
  | (Response & SubOperations & { readonly type: 'C-GET-RSP' })
  | (Request & {
      readonly type: 'C-MOVE-RQ'
      readonly affectedSopClassUid: Uid
      readonly moveDestination: string
      readonly priority?: number
    })
  | (Response & SubOperations & { readonly type: 'C-MOVE-RSP' })
  | { readonly type: 'C-CANCEL-RQ'; readonly messageIdBeingRespondedTo: number; readonly hasDataSet: false }
  | (Request & {
      readonly type: 'N-GET-RQ'
      readonly requestedSopClassUid: Uid
      readonly requestedSopInstanceUid: Uid
      /** Tags; without them all attributes are asked for. */
      readonly attributeIdentifierList?: readonly string[]
    })
  | (Response & { readonly type: 'N-GET-RSP'; readonly affectedSopInstanceUid?: Uid })
  | (Request & {
      readonly type: 'N-SET-RQ'
      readonly requestedSopClassUid: Uid
      readonly requestedSopInstanceUid: Uid
    })
  | (Response & { readonly type: 'N-SET-RSP'; readonly affectedSopInstanceUid?: Uid })
  | (Request & {
      readonly type: 'N-CREATE-RQ'
      readonly affectedSopClassUid: Uid
      /** Without it the peer makes one. */
      readonly affectedSopInstanceUid?: Uid
    })
  | (Response & { readonly type: 'N-CREATE-RSP'; readonly affectedSopInstanceUid?: Uid })
  | (Request & {
      readonly type: 'N-ACTION-RQ'
      readonly requestedSopClassUid: Uid
      readonly requestedSopInstanceUid: Uid
      readonly actionTypeId: number
    })
  | (Response & {
      readonly type: 'N-ACTION-RSP'
      readonly affectedSopInstanceUid?: Uid
      readonly actionTypeId?: number
    })
  | (Request & {
      readonly type: 'N-EVENT-REPORT-RQ'
      readonly affectedSopClassUid: Uid
      readonly affectedSopInstanceUid: Uid
      readonly eventTypeId: number
    })
  | (Response & {
      readonly type: 'N-EVENT-REPORT-RSP'
      readonly affectedSopInstanceUid?: Uid
      readonly eventTypeId?: number
    })

export type CommandType = Command['type']
export type CommandOf<T extends CommandType> = Extract<Command, { type: T }>

/** Every field of any command but for those that are encoded from more than themselves. */
type FieldName = Exclude<Command extends infer C ? (C extends Command ? keyof C : never) : never, 'type' | 'hasDataSet'>

/** Command elements by the names of their fields (PS3.7 E.1). */
const fields: Readonly<Record<FieldName, readonly [Tag, Vr]>> = {
  affectedSopClassUid: [0x00000002, 'UI'],
  requestedSopClassUid: [0x00000003, 'UI'],
  messageId: [0x00000110, 'US'],
  messageIdBeingRespondedTo: [0x00000120, 'US'],
  moveDestination: [0x00000600, 'AE'],
  priority: [0x00000700, 'US'],
  status: [0x00000900, 'US'],
  offendingElement: [0x00000901, 'AT'],
  errorComment: [0x00000902, 'LO'],
  errorId: [0x00000903, 'US'],
  attributeIdentifierList: [0x00001005, 'AT'],
  affectedSopInstanceUid: [0x00001000, 'UI'],
  requestedSopInstanceUid: [0x00001001, 'UI'],
  eventTypeId: [0x00001002, 'US'],
  actionTypeId: [0x00001008, 'US'],
  remaining: [0x00001020, 'US'],
  completed: [0x00001021, 'US'],
  failed: [0x00001022, 'US'],
  warning: [0x00001023, 'US'],
  moveOriginatorAeTitle: [0x00001030, 'AE'],
  moveOriginatorMessageId: [0x00001031, 'US'],
}
const COMMAND_GROUP_LENGTH: Tag = 0x00000000
/** Of Implicit VR: tag and length (PS3.5 7.1.3). */
const ELEMENT_HEADER_BYTES = 8
/** The element Command Group Length whole. */
const GROUP_LENGTH_BYTES = 12
const COMMAND_FIELD: Tag = 0x00000100
const COMMAND_DATA_SET_TYPE: Tag = 0x00000800
/** Command Data Set Type of a message without data set (PS3.7 E.1). */
const NO_DATA_SET = 0x0101
const DATA_SET_PRESENT = 0x0001

type FieldValues = { readonly [N in FieldName]?: string | number | readonly string[] | undefined }

/** Tags ascend (PS3.7 6.3.1). */
const inOrder: readonly (readonly [Tag, Vr, FieldName | 'type' | 'hasDataSet'])[] = [
  ...Object.entries(fields).map(([name, [tag, vr]]) => [tag, vr, name as FieldName] as const),
  [COMMAND_FIELD, 'US', 'type'] as const,
  [COMMAND_DATA_SET_TYPE, 'US', 'hasDataSet'] as const,
].sort(([a], [b]) => a - b)

const byTag = new Map(Object.entries(fields).map(([name, [t]]) => [t, name as FieldName]))
const byField = new Map(Object.entries(CommandField).map(([type, field]) => [field as number, type as CommandType]))

/** Mandatory fields of each command (PS3.7 9.3, 10.3). */
const mandatory: { readonly [T in CommandType]: readonly (keyof CommandOf<T>)[] } = {
  'C-ECHO-RQ': ['messageId'],
  'C-ECHO-RSP': ['status'],
  'C-STORE-RQ': ['messageId', 'affectedSopClassUid', 'affectedSopInstanceUid'],
  'C-STORE-RSP': ['status'],
  'C-FIND-RQ': ['messageId', 'affectedSopClassUid'],
  'C-FIND-RSP': ['status'],
  'C-GET-RQ': ['messageId', 'affectedSopClassUid'],
  'C-GET-RSP': ['status'],
  'C-MOVE-RQ': ['messageId', 'affectedSopClassUid', 'moveDestination'],
  'C-MOVE-RSP': ['status'],
  'C-CANCEL-RQ': ['messageIdBeingRespondedTo'],
  'N-GET-RQ': ['messageId', 'requestedSopClassUid', 'requestedSopInstanceUid'],
  'N-GET-RSP': ['status'],
  'N-SET-RQ': ['messageId', 'requestedSopClassUid', 'requestedSopInstanceUid'],
  'N-SET-RSP': ['status'],
  'N-CREATE-RQ': ['messageId', 'affectedSopClassUid'],
  'N-CREATE-RSP': ['status'],
  'N-ACTION-RQ': ['messageId', 'requestedSopClassUid', 'requestedSopInstanceUid', 'actionTypeId'],
  'N-ACTION-RSP': ['status'],
  'N-EVENT-REPORT-RQ': ['messageId', 'affectedSopClassUid', 'affectedSopInstanceUid', 'eventTypeId'],
  'N-EVENT-REPORT-RSP': ['status'],
}

export class InvalidCommandError extends Error {
  readonly code = 'INVALID_COMMAND'
  constructor(problem: string, options?: ErrorOptions) {
    super(problem, options)
    this.name = 'InvalidCommandError'
  }
}

/**
 * A command set: Implicit VR Little Endian whatever the context, group length first (PS3.7 6.3.1).
 * @throws InvalidValueError, UnencodableTextError
 */
export function encodeCommand(command: Command): Bytes {
  const elements: (readonly [Tag, Bytes])[] = []
  let size = GROUP_LENGTH_BYTES
  for (const [tag, vr, name] of inOrder) {
    const value = valueOf(command, name)
    if (value === undefined) continue
    const list = typeof value === 'object' ? value : [value]
    // An answer names what the peer named, even by what is no UID.
    const bytes = vr === 'UI' ? asGiven(vr, list) : encodeValues(vr, list, DEFAULT_REPERTOIRE)
    elements.push([tag, bytes])
    size += ELEMENT_HEADER_BYTES + bytes.length
  }
  const encoded = Buffer.allocUnsafe(size)
  let at = writeHeader(encoded, 0, COMMAND_GROUP_LENGTH, 4)
  at = encoded.writeUInt32LE(size - GROUP_LENGTH_BYTES, at)
  for (const [tag, bytes] of elements) {
    at = writeHeader(encoded, at, tag, bytes.length)
    encoded.set(bytes, at)
    at += bytes.length
  }
  return encoded
}

function valueOf(command: FieldValues & Command, name: FieldName | 'type' | 'hasDataSet'): FieldValues[FieldName] {
  if (name === 'type') return CommandField[command.type]
  if (name === 'hasDataSet') return command.hasDataSet ? DATA_SET_PRESENT : NO_DATA_SET
  return command[name]
}

function writeHeader(encoded: Buffer, at: number, tag: Tag, length: number): number {
  const behindGroup = encoded.writeUInt16LE(tag >>> 16, at)
  return encoded.writeUInt32LE(length, encoded.writeUInt16LE(tag & 0xffff, behindGroup))
}

/**
 * Reads a command set, whatever its group length says or leaves out.
 * @throws InvalidCommandError
 */
export function decodeCommand(bytes: Bytes): Command {
  const values = readElements(bytes)
  const field = values.get(COMMAND_FIELD)
  const type = field && field.length >= 2 ? byField.get(u16(field)) : undefined
  if (type === undefined) throw new InvalidCommandError('The Command Field is missing or unknown')
  const dataSetType = values.get(COMMAND_DATA_SET_TYPE)
  const command: Record<string, unknown> = {
    type,
    hasDataSet: dataSetType !== undefined && dataSetType.length >= 2 && u16(dataSetType) !== NO_DATA_SET,
  }
  for (const [t, value] of values) {
    const name = byTag.get(t)
    if (name === undefined || value.length === 0) continue
    const vr = fields[name][1]
    if (vr === 'US') {
      if (value.length >= 2) command[name] = u16(value)
    } else if (vr === 'AT') command[name] = attributeTags(value)
    else command[name] = withoutPadding(value.toString('latin1'), true)
  }
  for (const name of mandatory[type]) {
    if (command[name] === undefined) throw new InvalidCommandError(`${type} has no ${name}`)
  }
  // Some peers answer without it; with one operation outstanding there is nothing to tell apart.
  if (type.endsWith('-RSP')) command['messageIdBeingRespondedTo'] ??= 0
  return command as unknown as Command
}

function u16(value: Buffer): number {
  return value.readUInt16LE(0)
}

function attributeTags(value: Buffer): string[] {
  const tags: string[] = []
  for (let at = 0; at + 4 <= value.length; at += 4) {
    const t = ((value.readUInt16LE(at) << 16) | value.readUInt16LE(at + 2)) >>> 0
    tags.push(t.toString(16).toUpperCase().padStart(8, '0'))
  }
  return tags
}

function readElements(bytes: Bytes): Map<Tag, Buffer> {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const values = new Map<Tag, Buffer>()
  let at = 0
  while (buffer.length - at >= ELEMENT_HEADER_BYTES) {
    const t = ((buffer.readUInt16LE(at) << 16) | buffer.readUInt16LE(at + 2)) >>> 0
    const from = at + ELEMENT_HEADER_BYTES
    at = from + buffer.readUInt32LE(at + 4)
    if (at > buffer.length) throw cutShort()
    values.set(t, buffer.subarray(from, at))
  }
  // A lone pad is no element.
  if (buffer.subarray(at).some((byte) => byte !== 0)) throw cutShort()
  return values
}

function cutShort(): InvalidCommandError {
  return new InvalidCommandError('The command set ends inside an element')
}
