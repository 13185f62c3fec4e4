import type { Bytes } from '../dicom/bytes.ts'
import {
  PduType,
  PROTOCOL_VERSION,
  type AssociateAccept,
  type AssociateRequest,
  type ControlPdu,
  type UserInformation,
} from './pdu.ts'

/** A control PDU as bytes (PS3.8 9.3). P-DATA-TF is framed where messages are sent. */
export function encodePdu(pdu: ControlPdu): Buffer {
  switch (pdu.type) {
    case 'associate-request':
      return frame(PduType.associateRequest, associate(pdu, requestContexts(pdu)))
    case 'associate-accept':
      return frame(PduType.associateAccept, associate(pdu, acceptContexts(pdu)))
    case 'associate-reject':
      return frame(PduType.associateReject, Buffer.of(0, pdu.result, pdu.source, pdu.reason))
    case 'release-request':
      return frame(PduType.releaseRequest, Buffer.alloc(4))
    case 'release-response':
      return frame(PduType.releaseResponse, Buffer.alloc(4))
    case 'abort':
      return frame(PduType.abort, Buffer.of(0, 0, pdu.source, pdu.reason))
  }
}

function frame(type: number, body: Buffer): Buffer {
  const header = Buffer.alloc(6)
  header[0] = type
  header.writeUInt32BE(body.length, 2)
  return Buffer.concat([header, body])
}

function associate(pdu: AssociateRequest | AssociateAccept, contexts: Buffer[]): Buffer {
  // PS3.8 9.3.2: protocol version, called and calling AE titles, 32 reserved bytes, then the items
  const head = Buffer.alloc(68)
  head.writeUInt16BE(pdu.type === 'associate-request' ? pdu.protocolVersion : PROTOCOL_VERSION, 0)
  head.write(pdu.calledAeTitle.padEnd(16), 4, 16, 'latin1')
  head.write(pdu.callingAeTitle.padEnd(16), 20, 16, 'latin1')
  return Buffer.concat([head, item(0x10, uid(pdu.applicationContext)), ...contexts, userItem(pdu.user)])
}

function requestContexts(pdu: AssociateRequest): Buffer[] {
  return pdu.contexts.map(({ id, abstractSyntax, transferSyntaxes }) =>
    item(
      0x20,
      Buffer.of(id, 0, 0, 0),
      item(0x30, uid(abstractSyntax)),
      ...transferSyntaxes.map((syntax) => item(0x40, uid(syntax))),
    ),
  )
}

function acceptContexts(pdu: AssociateAccept): Buffer[] {
  return pdu.contexts.map(({ id, result, transferSyntax }) =>
    item(0x21, Buffer.of(id, 0, result, 0), item(0x40, uid(transferSyntax ?? ''))),
  )
}

function userItem(user: UserInformation): Buffer {
  const maxLength = Buffer.alloc(4)
  maxLength.writeUInt32BE(user.maxLength)
  const items = [item(0x51, maxLength), item(0x52, uid(user.implementationClassUid))]
  if (user.asyncOperations) {
    items.push(item(0x53, u16(user.asyncOperations.invoked), u16(user.asyncOperations.performed)))
  }
  for (const { sopClass, scu, scp } of user.roles) {
    items.push(item(0x54, sized(uid(sopClass)), Buffer.of(scu ? 1 : 0, scp ? 1 : 0)))
  }
  if (user.implementationVersionName) items.push(item(0x55, uid(user.implementationVersionName)))
  for (const { sopClass, information } of user.extended) items.push(item(0x56, sized(uid(sopClass)), information))
  for (const { sopClass, serviceClass, relatedGeneralSopClasses: related } of user.commonExtended) {
    const list = Buffer.concat(related.map((general) => sized(uid(general))))
    items.push(item(0x57, sized(uid(sopClass)), sized(uid(serviceClass)), sized(list)))
  }
  if (user.identity) {
    const { type, positiveResponseRequested, primary, secondary } = user.identity
    items.push(item(0x58, Buffer.of(type, positiveResponseRequested ? 1 : 0), sized(primary), sized(secondary)))
  }
  if (user.identityResponse) items.push(item(0x59, sized(user.identityResponse)))
  return item(0x50, ...items)
}

function item(type: number, ...parts: readonly Bytes[]): Buffer {
  const body = Buffer.concat(parts)
  return Buffer.concat([Buffer.of(type, 0), u16(body.length), body])
}

function sized(bytes: Bytes): Buffer {
  return Buffer.concat([u16(bytes.length), bytes])
}

function u16(value: number): Buffer {
  const bytes = Buffer.alloc(2)
  bytes.writeUInt16BE(value)
  return bytes
}

/** UIDs in items are not padded (PS3.8 Annex F). */
function uid(text: string): Buffer {
  return Buffer.from(text, 'latin1')
}
