import {
  DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN,
  encapsulatedSyntaxes,
  EXPLICIT_VR_BIG_ENDIAN,
  EXPLICIT_VR_LITTLE_ENDIAN,
  IMPLICIT_VR_LITTLE_ENDIAN,
} from '../dicom/transfer-syntax.ts'
import { frequentStorageClasses, SopClass, type Uid } from '../dicom/uids.ts'
import type { Association } from '../network/association.ts'
import type { ExtendedNegotiation, ProposedContext } from '../network/pdu.ts'
import { NotSupportedByArchiveError } from './errors.ts'
import type { Proposal } from './pool/proposal.ts'

/**
 * Every AE takes Implicit VR Little Endian (PS3.5 10.1); Explicit is asked for first. Some old archives know Big Endian
 * alone.
 */
const nativeSyntaxes: readonly Uid[] = [
  EXPLICIT_VR_LITTLE_ENDIAN.uid,
  IMPLICIT_VR_LITTLE_ENDIAN.uid,
  EXPLICIT_VR_BIG_ENDIAN.uid,
]

/** Numbers contexts 1, 3, 5 … (PS3.8 9.3.2.2). */
function numbered(list: readonly (readonly [Uid, readonly Uid[]])[]): ProposedContext[] {
  return list.map(([abstractSyntax, transferSyntaxes], index) => ({
    id: 2 * index + 1,
    abstractSyntax,
    transferSyntaxes,
  }))
}

/** The accepted context of a service. @throws NotSupportedByArchiveError */
export function contextOf(
  association: Association,
  abstractSyntax: string,
  archive: string,
  what: string,
): ReturnType<Association['contexts']['get']> & object {
  const context = [...association.contexts.values()].find((candidate) => candidate.abstractSyntax === abstractSyntax)
  if (!context) throw new NotSupportedByArchiveError(archive, what)
  return context
}

export interface FindPlan {
  readonly extendedNegotiation: boolean
  readonly relational: boolean
  /** Semantic matching of names, which then holds for every query of the association: asked for only when wanted. */
  readonly fuzzy: boolean
}

/**
 * For C-ECHO and C-FIND. Extended negotiation bytes (PS3.4 C.5.1.1): relational, combined date-time, fuzzy names,
 * timezone, then enhanced multi-frame conversion, empty value and multiple value matching.
 */
export function findProposal({ extendedNegotiation, relational, fuzzy }: FindPlan): Proposal {
  const information = Uint8Array.of(relational ? 1 : 0, 0, fuzzy ? 1 : 0, 0, 0, 1, 1)
  const extended: ExtendedNegotiation[] = [{ sopClass: SopClass.studyRootFind, information }]
  return {
    contexts: numbered([
      [SopClass.verification, nativeSyntaxes],
      [SopClass.studyRootFind, nativeSyntaxes],
    ]),
    ...(extendedNegotiation && { extended }),
  }
}

/** For C-MOVE. */
export const moveProposal: Proposal = { contexts: numbered([[SopClass.studyRootMove, nativeSyntaxes]]) }

/** Of the contexts, how many known classes may take where room is kept for others. */
const KNOWN_SHARE = 2 / 3

/** What objects may be stored in besides the native syntaxes, the likeliest first. */
const STORED: readonly Uid[] = [...encapsulatedSyntaxes.map(({ uid }) => uid), DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN.uid]

/** The same at an archive that has syntaxes of its own. */
export function storedSyntaxes(own: readonly Uid[]): readonly Uid[] {
  return own.length === 0 ? STORED : [...new Set([...own, ...STORED])]
}

/** Syntaxes of stored objects in runs of which each fits beside one class into `maxContexts`. */
export function syntaxRuns(stored: readonly Uid[], maxContexts: number): (readonly Uid[])[] {
  // The service and the class itself, in native syntaxes, take a context each.
  const size = Math.max(1, maxContexts - 2)
  const runs: (readonly Uid[])[] = []
  for (let at = 0; at < stored.length; at += size) runs.push(stored.slice(at, at + size))
  return runs
}

export interface GetPlan {
  /** Classes the selection is known to hold, the likeliest first. */
  readonly classes: readonly Uid[]
  /** Compressed objects may come as stored; otherwise the archive is to decompress. */
  readonly compressed: boolean
  /** The encapsulated syntaxes to propose, of all; the ones most often stored come first there. */
  readonly syntaxes?: readonly Uid[]
  /** Add the frequent classes, for what is in the selection besides. */
  readonly others: boolean
  /** One syntax and no other: some archives use just the first context of a class that they accepted. */
  readonly only?: Uid
  readonly maxContexts: number
  readonly roles: 'scp' | 'both'
}

/**
 * For C-GET: the service, then for each known class a native context and one context for each encapsulated syntax, so
 * that each object comes as it is stored (one context has one syntax, PS3.8 9.3.3.2); what room is left goes to the
 * frequent classes. Each class has its role selection (PS3.4 C.5.3).
 */
export function getProposal(plan: GetPlan): Proposal {
  const { classes, compressed, others, only, maxContexts, roles, syntaxes = STORED } = plan
  const list: (readonly [Uid, readonly Uid[]])[] = [[SopClass.studyRootGet, nativeSyntaxes]]
  const known = classes.slice(0, maxContexts - 1)
  for (const sopClass of known) list.push([sopClass, only === undefined ? nativeSyntaxes : [only]])
  if (compressed && only === undefined) {
    const room = others ? Math.ceil(maxContexts * KNOWN_SHARE) : maxContexts
    for (const uid of syntaxes) {
      for (const sopClass of known) if (list.length < room) list.push([sopClass, [uid]])
    }
  }
  if (others) {
    for (const sopClass of frequentStorageClasses) {
      if (!known.includes(sopClass) && list.length < maxContexts) list.push([sopClass, nativeSyntaxes])
    }
  }
  const storage = new Set(list.slice(1).map(([sopClass]) => sopClass))
  return {
    contexts: numbered(list),
    roles: [...storage].map((sopClass) => ({ sopClass, scu: roles === 'both', scp: true })),
  }
}

/** For the worklist; `fuzzy`: names are to be matched by meaning (PS3.4 K.5.1). */
export function worklistProposal(fuzzy: boolean): Proposal {
  const extended: ExtendedNegotiation[] = [
    { sopClass: SopClass.modalityWorklistFind, information: Uint8Array.of(1, 1, 1) },
  ]
  return {
    contexts: numbered([
      [SopClass.verification, nativeSyntaxes],
      [SopClass.modalityWorklistFind, nativeSyntaxes],
    ]),
    ...(fuzzy && { extended }),
  }
}

/** For services besides images; verification besides, which a system without them accepts. */
export function departmentProposal(sopClasses: readonly Uid[]): Proposal {
  return { contexts: numbered([SopClass.verification, ...sopClasses].map((uid) => [uid, nativeSyntaxes])) }
}

/** For storage commitment; verification besides, which an archive without the service accepts. */
export function commitmentProposal(): Proposal {
  return {
    contexts: numbered([
      [SopClass.verification, nativeSyntaxes],
      [SopClass.storageCommitmentPushModel, [EXPLICIT_VR_LITTLE_ENDIAN.uid, IMPLICIT_VR_LITTLE_ENDIAN.uid]],
    ]),
  }
}

/** A class and a syntax in which an object of it is to be stored. */
export interface StoragePair {
  readonly sopClass: Uid
  readonly syntax: Uid
}

/**
 * For C-STORE: one context for each pair, and a native one for each class, in case the archive does not take the
 * object's own syntax.
 */
export function storeProposal(pairs: readonly StoragePair[], maxContexts: number): Proposal {
  const list: (readonly [Uid, readonly Uid[]])[] = []
  for (const sopClass of new Set(pairs.map((pair) => pair.sopClass))) {
    for (const pair of pairs) if (pair.sopClass === sopClass) list.push([sopClass, [pair.syntax]])
    list.push([sopClass, nativeSyntaxes])
  }
  return { contexts: numbered(list.slice(0, maxContexts)) }
}
