import { lookup } from 'node:dns/promises'
import { isKnownTransferSyntax, isNative, transferSyntax } from '../../dicom/transfer-syntax.ts'
import { SopClass, STORAGE_ROOT, type Uid } from '../../dicom/uids.ts'
import type { AcceptorPolicy } from '../../network/negotiation.ts'
import type { AssociateReject } from '../../network/pdu.ts'
import type { Deliverer } from './deliverer.ts'

/** Why an association is rejected (PS3.8 9.3.4). */
export type Rejection = Omit<AssociateReject, 'type'>

export const CALLED_AE_TITLE_NOT_RECOGNIZED: Rejection = { result: 1, source: 1, reason: 7 }
export const CALLING_AE_TITLE_NOT_RECOGNIZED: Rejection = { result: 1, source: 1, reason: 3 }
export const LOCAL_LIMIT_EXCEEDED: Rejection = { result: 2, source: 3, reason: 2 }

/** Of all UIDs that the standard assigns (PS3.6 Annex A). */
const STANDARD_ROOT = '1.2.840.10008.'

/** The archives that may call. */
export class Callers {
  readonly #known = new Map<string, Deliverer>()

  add(archive: Deliverer): void {
    this.#known.set(archive.aeTitle, archive)
  }

  /** Those that call with this AE title from this address: more than one may share a title for storing. */
  at(callingAeTitle: string, address: string | undefined): Deliverer[] {
    const title = callingAeTitle.trim()
    return [...this.#known.values()].filter(
      ({ aeTitle, aeTitles, addresses }) =>
        (aeTitle === title || aeTitles.includes(title)) && (!addresses || addresses.has(address)),
    )
  }

  /** Whether an archive is expected at an address: it is configured so, or reached there. Names are looked up once, behind. */
  addresses(): (address: string | undefined) => boolean {
    const archives = [...this.#known.values()]
    const hosts = new Set<string>()
    for (const { host } of archives) {
      const found = lookup(host, { all: true }).then((all) => all.forEach(({ address }) => hosts.add(address)))
      // Then it is not known where it is, and treated as others are.
      found.catch(() => undefined)
    }
    return (address) =>
      (address !== undefined && hosts.has(address)) || archives.some(({ addresses }) => addresses?.has(address))
  }
}

/** What is taken from an archive. */
export interface Admission {
  /** Instances: something is expected of it. */
  readonly storage: boolean
  /** Its transfer syntaxes beside those of the standard. */
  readonly own: readonly Uid[]
  /** Reports of storage commitment. */
  readonly reports: boolean
  /** It brings what it has itself. */
  readonly isDevice: boolean
  /** Queries of a worklist. */
  readonly worklist: boolean
  /** Requests for storage commitment. */
  readonly commitment: boolean
}

/** Takes verification always, and what else is told. */
export function admit({ storage, own, reports, isDevice, worklist, commitment }: Admission): AcceptorPolicy {
  return {
    choose: (abstractSyntax, offered) => {
      const isServed =
        abstractSyntax === SopClass.verification ||
        ((reports || commitment) && abstractSyntax === SopClass.storageCommitmentPushModel) ||
        (worklist && abstractSyntax === SopClass.modalityWorklistFind) ||
        (storage && mayBeStorage(abstractSyntax))
      if (!isServed) return 'abstract'
      return (isDevice ? firstOf(offered) : choose(offered, own)) ?? 'transfer'
    },
    // PS3.4 J.3.4: who reports is the SCP of the service; some do not say so.
    roles: ({ sopClass, scp }) =>
      reports && sopClass === SopClass.storageCommitmentPushModel ? { sopClass, scu: false, scp } : undefined,
  }
}

/** Storage classes of the standard, and those of vendors, which are not told apart from other services. */
export function mayBeStorage(abstractSyntax: Uid): boolean {
  return abstractSyntax.startsWith(STORAGE_ROOT) || !abstractSyntax.startsWith(STANDARD_ROOT)
}

/** As it would have it most: it alone knows which way is best for what it has. Deflated only where nothing else is offered. */
function firstOf(offered: readonly Uid[]): Uid | undefined {
  const usable = offered.filter((uid) => isKnownTransferSyntax(uid))
  return usable.find((uid) => !transferSyntax(uid).deflated) ?? usable[0]
}

/**
 * As stored first, since an archive offers that beside a native syntax. It is never asked to decompress: it may keep the
 * association for a move of somebody who wants the instance as stored. Deflated is taken where nothing else is offered. `own`:
 * syntaxes of the archive that are passed on as they are.
 */
function choose(offered: readonly Uid[], own: readonly Uid[]): Uid | undefined {
  const usable = offered.filter((uid) => isKnownTransferSyntax(uid) || own.includes(uid))
  const inflated = usable.filter((uid) => !transferSyntax(uid).deflated)
  return inflated.find((uid) => !isNative(transferSyntax(uid))) ?? inflated[0] ?? usable[0]
}
