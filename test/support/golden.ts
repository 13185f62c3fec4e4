import type { Bytes } from '../../src/dicom/bytes.ts'

// Bytes of PS3.8 and PS3.7 written by hand, on purpose without the encoders of src: what is tested must not test itself.
// Integers of PDUs and items are big endian, those of command sets little endian.

/** Bytes of hexadecimal digits; white space is for the eye. `32*00` repeats a byte. */
export function hex(text: string): Buffer {
  const spelled = text.replace(/(\d+)\*([0-9a-f]{2})/g, (_, count: string, byte: string) => byte.repeat(Number(count)))
  return Buffer.from(spelled.replace(/\s/g, ''), 'hex')
}

/** What DCMTK 3.6.7 storescp accepted and answered (design reference, "PDUs"). */
export const golden = {
  /** Calling DWPROXY, called PACS, context 1 Verification in Implicit VR LE, at most 16384, implementation 1.2.3.4. */
  associateRequest: hex(`
    0100000000b3 0001 0000 50414353202020202020202020202020 445750524f5859202020202020202020 32*00
    10000015 312e322e3834302e31303030382e332e312e312e31
    2000002e 01000000 30000011 312e322e3834302e31303030382e312e31 40000011 312e322e3834302e31303030382e312e32
    50000020 5100000400004000 52000007312e322e332e34 55000009445750524f58595f31`),
  /** Message 1 in context 1. */
  echoRequest: hex(`
    04000000004a 00000046 01 03 00000000 04000000 38000000
    00000200 12000000 312e322e3834302e31303030382e312e3100
    00000001 02000000 3000 00001001 02000000 0100 00000008 02000000 0101`),
  echoResponse: hex(`
    040000000054 00000050 01 03 00000000 04000000 42000000
    00000200 12000000 312e322e3834302e31303030382e312e3100
    00000001 02000000 3080 00002001 02000000 0100 00000008 02000000 0101 00000009 02000000 0000`),
  releaseRequest: hex('050000000004 00000000'),
  releaseResponse: hex('060000000004 00000000'),
  /** Sub-item: CT Image Storage, SCU 0, SCP 1. */
  roleSelection: hex('5400001d 0019 312e322e3834302e31303030382e352e312e342e312e312e32 00 01'),
  /** Sub-item: user name "user", passcode "pass", a response asked for. */
  userIdentity: hex('5800000e 02 01 0004 75736572 0004 70617373'),
  /** Command set that cancels message 7. */
  cancelRequest: hex(`
    00000000 04000000 1e000000 00000001 02000000 ff0f 00002001 02000000 0700 00000008 02000000 0101`),
} as const

export const IMPLICIT_LE = '1.2.840.10008.1.2'
export const EXPLICIT_LE = '1.2.840.10008.1.2.1'
export const VERIFICATION = '1.2.840.10008.1.1'
export const STUDY_ROOT_FIND = '1.2.840.10008.5.1.4.1.2.2.1'
export const STUDY_ROOT_GET = '1.2.840.10008.5.1.4.1.2.2.3'
export const STUDY_ROOT_MOVE = '1.2.840.10008.5.1.4.1.2.2.2'
export const CT = '1.2.840.10008.5.1.4.1.1.2'

export function u16(value: number): Buffer {
  return Buffer.of(value >>> 8, value & 0xff)
}

export function u32(value: number): Buffer {
  return Buffer.of(value >>> 24, (value >>> 16) & 0xff, (value >>> 8) & 0xff, value & 0xff)
}

function joined(parts: readonly (Bytes | string)[]): Buffer {
  return Buffer.concat(parts.map((part) => (typeof part === 'string' ? Buffer.from(part, 'latin1') : part)))
}

/** PS3.8 9.3.1; `length` lies about the length of the body where it is given. */
export function pdu(type: number, parts: readonly (Bytes | string)[], length?: number): Buffer {
  const body = joined(parts)
  return Buffer.concat([Buffer.of(type, 0), u32(length ?? body.length), body])
}

/** An item or sub-item of an association PDU. */
export function item(type: number, ...parts: readonly (Bytes | string)[]): Buffer {
  const body = joined(parts)
  return Buffer.concat([Buffer.of(type, 0), u16(body.length), body])
}

export interface ContextBytes {
  readonly id: number
  readonly abstractSyntax: string
  readonly transferSyntaxes: readonly string[]
}

export interface RequestBytes {
  /** Bit 0 stands for version 1. */
  readonly protocolVersion?: number
  /** undefined leaves the item out. */
  readonly applicationContext?: string | undefined
  readonly contexts?: readonly ContextBytes[]
  readonly calledAeTitle?: string
  readonly callingAeTitle?: string
  readonly maxLength?: number
  /** More sub-items of the user information. */
  readonly user?: readonly Bytes[]
}

const VERIFICATION_CONTEXT = { id: 1, abstractSyntax: VERIFICATION, transferSyntaxes: [IMPLICIT_LE] }

/** PS3.8 9.3.2. */
export function associateRequest(options: RequestBytes = {}): Buffer {
  const { contexts = [VERIFICATION_CONTEXT], calledAeTitle = 'PACS', callingAeTitle = 'GATE' } = options
  const { maxLength = 16384, user = [], protocolVersion = 1 } = options
  const { applicationContext } = { applicationContext: '1.2.840.10008.3.1.1.1', ...options }
  return pdu(1, [
    u16(protocolVersion),
    u16(0),
    calledAeTitle.padEnd(16),
    callingAeTitle.padEnd(16),
    Buffer.alloc(32),
    ...(applicationContext === undefined ? [] : [item(0x10, applicationContext)]),
    ...contexts.map(({ id, abstractSyntax, transferSyntaxes }) =>
      item(
        0x20,
        Buffer.of(id, 0, 0, 0),
        item(0x30, abstractSyntax),
        ...transferSyntaxes.map((syntax) => item(0x40, syntax)),
      ),
    ),
    item(0x50, item(0x51, u32(maxLength)), item(0x52, '1.2.3.4'), ...user),
  ])
}

export interface AcceptBytes {
  readonly maxLength?: number
  /** By context id: the syntax chosen, or the result that refuses it; the first syntax offered unless told. */
  readonly answers?: Readonly<Record<number, string | number>>
  /** More sub-items of the user information; the roles asked for unless told. */
  readonly user?: readonly Bytes[]
}

/** An A-ASSOCIATE-AC that agrees to the bytes of any A-ASSOCIATE-RQ (PS3.8 9.3.3). */
export function associateAccept(request: Bytes, options: AcceptBytes = {}): Buffer {
  const { maxLength = 16384, answers = {} } = options
  const { contexts, roles } = readRequest(request)
  return pdu(2, [
    Buffer.from(request.subarray(6, 74)),
    item(0x10, '1.2.840.10008.3.1.1.1'),
    ...contexts.map(({ id, transferSyntaxes }) => {
      const answer = answers[id] ?? transferSyntaxes[0] ?? ''
      if (typeof answer === 'number') return item(0x21, Buffer.of(id, 0, answer, 0), item(0x40))
      return item(0x21, Buffer.of(id, 0, 0, 0), item(0x40, answer))
    }),
    item(0x50, item(0x51, u32(maxLength)), item(0x52, '1.2.3.4'), ...(options.user ?? roles)),
  ])
}

/** Contexts and role selection sub-items of an A-ASSOCIATE-RQ. */
export function readRequest(request: Bytes): { contexts: ContextBytes[]; roles: Buffer[]; user: ItemBytes[] } {
  const items = readItems(request.subarray(74))
  const contexts = items
    .filter(({ type }) => type === 0x20)
    .map(({ value }) => {
      const uids = (wanted: number): string[] =>
        readItems(value.subarray(4)).flatMap(({ type, value: uid }) => (type === wanted ? uid.toString('latin1') : []))
      return { id: value[0]!, abstractSyntax: uids(0x30)[0] ?? '', transferSyntaxes: uids(0x40) }
    })
  const user = items.filter(({ type }) => type === 0x50).flatMap(({ value }) => readItems(value))
  return { contexts, roles: user.filter(({ type }) => type === 0x54).map(({ value }) => item(0x54, value)), user }
}

export interface ItemBytes {
  readonly type: number
  readonly value: Buffer
}

export function readItems(bytes: Bytes): ItemBytes[] {
  const rest = Buffer.from(bytes)
  const items: ItemBytes[] = []
  for (let at = 0; at + 4 <= rest.length; at += 4 + rest.readUInt16BE(at + 2)) {
    items.push({ type: rest[at]!, value: rest.subarray(at + 4, at + 4 + rest.readUInt16BE(at + 2)) })
  }
  return items
}

/** PS3.8 9.3.4. */
export function associateReject(result: number, source: number, reason: number): Buffer {
  return pdu(3, [Buffer.of(0, result, source, reason)])
}

/** PS3.8 9.3.8. */
export function abort(source: number, reason: number): Buffer {
  return pdu(7, [Buffer.of(0, 0, source, reason)])
}

/** Message control header of a PDV (PS3.8 E.2). */
export const Pdv = { data: 0, lastData: 2, command: 1, lastCommand: 3 } as const

/** One presentation data value. */
export function pdv(contextId: number, flags: number, bytes: Bytes): Buffer {
  return Buffer.concat([u32(bytes.length + 2), Buffer.of(contextId, flags), bytes])
}

/** A P-DATA-TF of PDVs. */
export function dataPdu(...pdvs: readonly Bytes[]): Buffer {
  return pdu(4, pdvs)
}

/**
 * A command set from element numbers of group 0000: numbers are US, strings UI, or AE and LO where the standard has
 * those. Group length and ascending order are added.
 */
export function commandSet(elements: Readonly<Record<string, number | string | Bytes>>): Buffer {
  const body = Buffer.concat(
    Object.entries(elements)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([number, value]) => element(Number.parseInt(number, 16), commandValue(number, value))),
  )
  return Buffer.concat([element(0, u32le(body.length)), body])
}

const SPACE_PADDED = ['0600', '0902', '1030']

function commandValue(number: string, value: number | string | Bytes): Bytes {
  if (typeof value === 'number') return Buffer.of(value & 0xff, value >>> 8)
  if (typeof value !== 'string') return value
  const pad = SPACE_PADDED.includes(number) ? ' ' : '\0'
  return Buffer.from(value.length % 2 === 0 ? value : value + pad, 'latin1')
}

function u32le(value: number): Buffer {
  return u32(value).reverse()
}

/** An element of Implicit VR Little Endian by its whole tag. */
export function element(tag: number, value: Bytes | string): Buffer {
  const bytes = typeof value === 'string' ? Buffer.from(value, 'latin1') : value
  const group = tag >>> 16
  return Buffer.concat([
    Buffer.of(group & 0xff, group >>> 8, tag & 0xff, (tag >>> 8) & 0xff),
    u32le(bytes.length),
    Buffer.from(bytes),
  ])
}

/** Elements by number as `readMessage` and the tests look at them. */
export function readCommandSet(bytes: Bytes): Map<string, Buffer> {
  const rest = Buffer.from(bytes)
  const elements = new Map<string, Buffer>()
  for (let at = 0; at + 8 <= rest.length; at += 8 + rest.readUInt32LE(at + 4)) {
    const number = rest
      .readUInt16LE(at + 2)
      .toString(16)
      .padStart(4, '0')
    elements.set(number, rest.subarray(at + 8, at + 8 + rest.readUInt32LE(at + 4)))
  }
  return elements
}

export interface Framing {
  readonly contextId?: number
  /** Sizes of the fragments of command and data set: the last one repeats; everything in one unless told. */
  readonly fragments?: readonly number[]
  /** All PDVs in one P-DATA-TF. */
  readonly onePdu?: boolean
  /** The data set ends in a PDV without bytes. */
  readonly emptyLast?: boolean
}

/** A message in P-DATA-TF PDUs, cut as told (PS3.8 Annex E). */
export function message(command: Bytes, data: Bytes | undefined, framing: Framing = {}): Buffer {
  const { contextId = 1, fragments = [], onePdu = false, emptyLast = false } = framing
  const pdvs = pieces(command, fragments).map(([bytes, last]) => pdv(contextId, last ? 3 : 1, bytes))
  if (data) {
    pdvs.push(...pieces(data, fragments).map(([bytes, last]) => pdv(contextId, last && !emptyLast ? 2 : 0, bytes)))
    if (emptyLast) pdvs.push(pdv(contextId, 2, Buffer.alloc(0)))
  }
  return onePdu ? dataPdu(...pdvs) : Buffer.concat(pdvs.map((one) => dataPdu(one)))
}

function pieces(bytes: Bytes, sizes: readonly number[]): [Bytes, boolean][] {
  const cut: [Bytes, boolean][] = []
  for (let at = 0, index = 0; index === 0 || at < bytes.length; index++) {
    const size = sizes[Math.min(index, sizes.length - 1)] ?? bytes.length
    cut.push([bytes.subarray(at, at + size), at + size >= bytes.length])
    at += size
  }
  return cut
}

interface ResponseBytes extends Framing {
  readonly messageId?: number
  readonly status?: number
  readonly data?: Bytes
}

/** C-FIND-RSP; Pending where it has an identifier. */
export function findResponse(options: ResponseBytes = {}): Buffer {
  const { messageId = 1, data, status = data ? 0xff00 : 0 } = options
  const command = commandSet({
    '0002': STUDY_ROOT_FIND,
    '0100': 0x8020,
    '0120': messageId,
    '0800': data ? 1 : 0x0101,
    '0900': status,
  })
  return message(command, data, options)
}

interface GetResponseBytes extends ResponseBytes {
  readonly remaining?: number
  readonly completed?: number
  readonly failed?: number
  readonly warning?: number
}

/** C-GET-RSP; `data` is the list of failed instances. */
export function getResponse(options: GetResponseBytes = {}): Buffer {
  return retrieveResponse(STUDY_ROOT_GET, 0x8010, options)
}

function retrieveResponse(sopClass: string, field: number, options: GetResponseBytes): Buffer {
  const { messageId = 1, data, status = 0, remaining, completed, failed, warning } = options
  const command = commandSet({
    '0002': sopClass,
    '0100': field,
    '0120': messageId,
    '0800': data ? 1 : 0x0101,
    '0900': status,
    ...(remaining !== undefined && { '1020': remaining }),
    ...(completed !== undefined && { '1021': completed }),
    ...(failed !== undefined && { '1022': failed }),
    ...(warning !== undefined && { '1023': warning }),
  })
  return message(command, data, options)
}

/** C-MOVE-RSP; `data` is the list of failed instances. */
export function moveResponse(options: GetResponseBytes = {}): Buffer {
  return retrieveResponse(STUDY_ROOT_MOVE, 0x8021, options)
}

interface StoreRequestBytes extends Framing {
  readonly messageId?: number
  readonly sopClass?: string
  readonly sopInstance?: string
  /** More elements of the command, and in place of others. */
  readonly more?: Readonly<Record<string, number | string | Bytes>>
  /** Undefined: the command says that none follows, and none does. */
  readonly data: Bytes | undefined
}

/** C-STORE-RQ. */
export function storeRequest(options: StoreRequestBytes): Buffer {
  const { messageId = 1, sopClass = CT, sopInstance = '1.2.3', data, more = {} } = options
  const command = commandSet({
    '0002': sopClass,
    '0100': 0x0001,
    '0110': messageId,
    '0700': 0,
    '0800': data ? 1 : 0x0101,
    '1000': sopInstance,
    ...more,
  })
  return message(command, data, options)
}

/** C-STORE-RSP. */
export function storeResponse(options: ResponseBytes & { sopInstance?: string } = {}): Buffer {
  const { messageId = 1, status = 0, sopInstance = '1.2.3', data } = options
  const command = commandSet({
    '0002': CT,
    '0100': 0x8001,
    '0120': messageId,
    '0800': data ? 1 : 0x0101,
    '0900': status,
    '1000': sopInstance,
  })
  return message(command, data, options)
}
