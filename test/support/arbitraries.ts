import fc from 'fast-check'
import type {
  AssociateAccept,
  AssociateRequest,
  ContextAnswer,
  ControlPdu,
  ProposedContext,
  UserInformation,
} from '../../src/network/pdu.ts'

// Values in the form that decoding gives back: titles without outer spaces, UIDs without padding.

export const uid: fc.Arbitrary<string> = fc
  .array(fc.nat({ max: 99_999 }).map(String), { minLength: 2, maxLength: 10 })
  .map((parts) => parts.join('.'))

const printable = fc.integer({ min: 0x20, max: 0x7e }).map((code) => String.fromCharCode(code))

/** 1 to 16 characters of the default repertoire, without backslash and outer spaces (PS3.5 6.2, AE). */
export const aeTitle: fc.Arbitrary<string> = fc
  .string({ unit: printable, minLength: 1, maxLength: 16 })
  .filter((text) => text.trim() === text && !text.includes('\\'))

export const someBytes = (maxLength: number): fc.Arbitrary<Buffer> =>
  fc.uint8Array({ maxLength }).map((bytes) => Buffer.from(bytes))

const u8 = fc.integer({ min: 0, max: 0xff })
const u16 = fc.integer({ min: 0, max: 0xffff })

/** Every user information item there is. */
export const userInformation: fc.Arbitrary<UserInformation> = fc.record(
  {
    maxLength: fc.integer({ min: 0, max: 0xffffffff }),
    implementationClassUid: uid,
    implementationVersionName: aeTitle,
    asyncOperations: fc.record({ invoked: u16, performed: u16 }),
    roles: fc.array(fc.record({ sopClass: uid, scu: fc.boolean(), scp: fc.boolean() }), { maxLength: 4 }),
    extended: fc.array(fc.record({ sopClass: uid, information: someBytes(20) }), { maxLength: 3 }),
    commonExtended: fc.array(
      fc.record({ sopClass: uid, serviceClass: uid, relatedGeneralSopClasses: fc.array(uid, { maxLength: 3 }) }),
      { maxLength: 2 },
    ),
    identity: fc.record({
      type: fc.integer({ min: 1, max: 5 }),
      positiveResponseRequested: fc.boolean(),
      primary: someBytes(40),
      secondary: someBytes(40),
    }),
    identityResponse: someBytes(40),
  },
  { requiredKeys: ['maxLength', 'implementationClassUid', 'roles', 'extended', 'commonExtended'] },
)

const contextId = fc.integer({ min: 0, max: 127 }).map((index) => 2 * index + 1)

const proposedContext: fc.Arbitrary<ProposedContext> = fc.record({
  id: contextId,
  abstractSyntax: uid,
  transferSyntaxes: fc.array(uid, { minLength: 1, maxLength: 4 }),
})

const contextAnswer: fc.Arbitrary<ContextAnswer> = fc.oneof(
  fc.record({ id: contextId, result: fc.constant(0), transferSyntax: uid }),
  fc.record({ id: contextId, result: fc.integer({ min: 1, max: 4 }) }),
)

const common = { calledAeTitle: aeTitle, callingAeTitle: aeTitle, applicationContext: uid, user: userInformation }

export const associateRequest: fc.Arbitrary<AssociateRequest> = fc.record({
  type: fc.constant('associate-request' as const),
  protocolVersion: fc.integer({ min: 0, max: 0xffff }),
  ...common,
  contexts: fc.array(proposedContext, { maxLength: 5 }),
})

const associateAccept: fc.Arbitrary<AssociateAccept> = fc.record({
  type: fc.constant('associate-accept' as const),
  ...common,
  contexts: fc.array(contextAnswer, { maxLength: 5 }),
})

export const controlPdu: fc.Arbitrary<ControlPdu> = fc.oneof(
  associateRequest,
  associateAccept,
  fc.record({ type: fc.constant('associate-reject' as const), result: u8, source: u8, reason: u8 }),
  fc.constant({ type: 'release-request' as const }),
  fc.constant({ type: 'release-response' as const }),
  fc.record({ type: fc.constant('abort' as const), source: u8, reason: u8 }),
)
