import { withoutPadding } from '../dicom/padding.ts'
import { InvalidPduError } from './errors.ts'
import {
  AbortReason,
  PduType,
  type AssociateAccept,
  type AssociateRequest,
  type ContextAnswer,
  type ControlPdu,
  type ProposedContext,
  type UserInformation,
} from './pdu.ts'

/**
 * A control PDU of its type and what follows its length (PS3.8 9.3).
 * @throws InvalidPduError
 */
export function decodeControlPdu(type: number, body: Buffer): ControlPdu {
  switch (type) {
    case PduType.associateRequest:
      return associateRequest(body)
    case PduType.associateAccept:
      return associateAccept(body)
    case PduType.associateReject:
      need(body, 4)
      return { type: 'associate-reject', result: body[1]!, source: body[2]!, reason: body[3]! }
    case PduType.releaseRequest:
      return { type: 'release-request' }
    case PduType.releaseResponse:
      return { type: 'release-response' }
    default:
      need(body, 4)
      return { type: 'abort', source: body[2]!, reason: body[3]! }
  }
}

function need(body: Buffer, length: number): void {
  if (body.length < length) throw new InvalidPduError('A PDU is shorter than its fields', AbortReason.invalidParameter)
}

function associateRequest(body: Buffer): AssociateRequest {
  const items = associateItems(body)
  const contexts: ProposedContext[] = []
  for (const { type, value } of items) if (type === 0x20) contexts.push(proposedContext(value))
  return { type: 'associate-request', protocolVersion: body.readUInt16BE(0), ...associateFields(body, items), contexts }
}

function associateAccept(body: Buffer): AssociateAccept {
  const items = associateItems(body)
  const contexts: ContextAnswer[] = []
  for (const { type, value } of items) if (type === 0x21) contexts.push(contextAnswer(value))
  return { type: 'associate-accept', ...associateFields(body, items), contexts }
}

function associateItems(body: Buffer): Item[] {
  need(body, 68)
  return splitItems(body.subarray(68))
}

function associateFields(
  body: Buffer,
  items: readonly Item[],
): Pick<AssociateRequest, 'calledAeTitle' | 'callingAeTitle' | 'applicationContext' | 'user'> {
  return {
    calledAeTitle: aeTitle(body.subarray(4, 20)),
    callingAeTitle: aeTitle(body.subarray(20, 36)),
    applicationContext: text(items.find(({ type }) => type === 0x10)?.value ?? Buffer.alloc(0)),
    user: userInformation(items.find(({ type }) => type === 0x50)?.value ?? Buffer.alloc(0)),
  }
}

interface Item {
  readonly type: number
  readonly value: Buffer
}

function splitItems(bytes: Buffer): Item[] {
  const items: Item[] = []
  let at = 0
  while (at < bytes.length) {
    if (bytes.length - at < 4) throw new InvalidPduError('An item is cut short', AbortReason.invalidParameter)
    const end = at + 4 + bytes.readUInt16BE(at + 2)
    if (end > bytes.length) throw new InvalidPduError('An item is longer than its PDU', AbortReason.invalidParameter)
    items.push({ type: bytes[at]!, value: bytes.subarray(at + 4, end) })
    at = end
  }
  return items
}

function proposedContext(value: Buffer): ProposedContext {
  need(value, 4)
  const items = splitItems(value.subarray(4))
  const uids = (type: number): string[] => items.filter((item) => item.type === type).map((item) => text(item.value))
  return { id: value[0]!, abstractSyntax: uids(0x30)[0] ?? '', transferSyntaxes: uids(0x40) }
}

function contextAnswer(value: Buffer): ContextAnswer {
  need(value, 4)
  const answer = { id: value[0]!, result: value[2]! }
  // Of a refused context the transfer syntax is not significant; some peers leave it out or cut it (PS3.8 9.3.3.2).
  if (answer.result !== 0) return answer
  const syntax = splitItems(value.subarray(4)).find(({ type }) => type === 0x40)
  return syntax ? { ...answer, transferSyntax: text(syntax.value) } : answer
}

function userInformation(bytes: Buffer): UserInformation {
  const items = splitItems(bytes)
  // The first of a repeated item counts; unknown ones are passed over.
  const first = (type: number): Buffer | undefined => items.find((item) => item.type === type)?.value
  const all = (type: number): Buffer[] => items.filter((item) => item.type === type).map((item) => item.value)
  const maxLength = first(0x51)
  const version = first(0x55)
  const window = first(0x53)
  const identity = first(0x58)
  const identityResponse = first(0x59)
  return {
    maxLength: maxLength && maxLength.length >= 4 ? maxLength.readUInt32BE(0) : 0,
    implementationClassUid: text(first(0x52) ?? Buffer.alloc(0)),
    ...(version && { implementationVersionName: text(version) }),
    ...(window &&
      window.length >= 4 && {
        asyncOperations: { invoked: window.readUInt16BE(0), performed: window.readUInt16BE(2) },
      }),
    roles: all(0x54).map((value) => {
      const fields = new Fields(value)
      return { sopClass: text(fields.sized()), scu: fields.u8() === 1, scp: fields.u8() === 1 }
    }),
    extended: all(0x56).map((value) => {
      const fields = new Fields(value)
      return { sopClass: text(fields.sized()), information: fields.rest() }
    }),
    commonExtended: all(0x57).map((value) => {
      const fields = new Fields(value)
      const [sopClass, serviceClass] = [text(fields.sized()), text(fields.sized())]
      const related = new Fields(fields.sized())
      const list: string[] = []
      while (related.left > 0) list.push(text(related.sized()))
      return { sopClass, serviceClass, relatedGeneralSopClasses: list }
    }),
    ...(identity && { identity: userIdentity(identity) }),
    ...(identityResponse && { identityResponse: new Fields(identityResponse).sized() }),
  }
}

function userIdentity(value: Buffer): NonNullable<UserInformation['identity']> {
  const fields = new Fields(value)
  return {
    type: fields.u8(),
    positiveResponseRequested: fields.u8() === 1,
    primary: fields.sized(),
    secondary: fields.left > 0 ? fields.sized() : Buffer.alloc(0),
  }
}

class Fields {
  readonly #bytes: Buffer
  #at = 0
  constructor(bytes: Buffer) {
    this.#bytes = bytes
  }
  get left(): number {
    return this.#bytes.length - this.#at
  }
  u8(): number {
    need(this.#bytes, this.#at + 1)
    return this.#bytes[this.#at++]!
  }
  sized(): Buffer {
    need(this.#bytes, this.#at + 2)
    const length = this.#bytes.readUInt16BE(this.#at)
    need(this.#bytes, this.#at + 2 + length)
    this.#at += 2 + length
    return this.#bytes.subarray(this.#at - length, this.#at)
  }
  rest(): Buffer {
    return this.#bytes.subarray(this.#at)
  }
}

function text(bytes: Buffer): string {
  return withoutPadding(bytes.toString('latin1'))
}

/** Spaces around an AE title carry no meaning; bad peers end it by a NUL, behind which are the bytes of another. */
function aeTitle(bytes: Buffer): string {
  return bytes.toString('latin1').split('\0', 1)[0]!.trim()
}
