/** A unique identifier: digits and dots, 1 to 64 characters (PS3.5 9.1). */
export type Uid = string

/** Lenient towards leading zeros, which old archives hold (PS3.5 9.1 forbids them). */
export function isUid(text: string): boolean {
  return /^[0-9]+(\.[0-9]+)*$/.test(text) && text.length <= 64
}

/** Far more than the 64 that a UID may have: some archives hold longer ones. */
const MAX_NAME = 128

/**
 * Whether a UID as archives hold them, also against PS3.5 9.1, can be named by clients and in URLs: it means that one thing
 * to every archive, and is no more than a name on the way. So no wildcards, slashes, control characters, `..`, nor spaces
 * at its ends, which are padding.
 */
export function isNameable(text: string): boolean {
  return (
    text.length <= MAX_NAME &&
    /^[A-Za-z0-9]([A-Za-z0-9 ._:+=@~-]*[A-Za-z0-9_:+=@~-])?$/.test(text) &&
    !text.includes('..')
  )
}

export const APPLICATION_CONTEXT: Uid = '1.2.840.10008.3.1.1.1'

/** SOP classes of services (PS3.4). */
export const SopClass = {
  verification: '1.2.840.10008.1.1',
  studyRootFind: '1.2.840.10008.5.1.4.1.2.2.1',
  studyRootMove: '1.2.840.10008.5.1.4.1.2.2.2',
  studyRootGet: '1.2.840.10008.5.1.4.1.2.2.3',
  modalityWorklistFind: '1.2.840.10008.5.1.4.31',
  storageCommitmentPushModel: '1.2.840.10008.1.20.1',
  modalityPerformedProcedureStep: '1.2.840.10008.3.1.2.3.3',
  modalityPerformedProcedureStepRetrieve: '1.2.840.10008.3.1.2.3.4',
} as const

/** SOP Instances that the standard names itself (PS3.4 J.3.5). */
export const WellKnownInstance = { storageCommitmentPushModel: '1.2.840.10008.1.20.1.1' } as const

/** Storage SOP classes are assigned under this root (PS3.4 B.5). */
export const STORAGE_ROOT = '1.2.840.10008.5.1.4.1.1.'

/**
 * What an archive is likely to hold when it does not say: the storage classes in most frequent use, in that order,
 * as suffixes of STORAGE_ROOT.
 */
export const frequentStorageClasses: readonly Uid[] = [
  '2', '4', '2.1', '4.1', '1', '1.1', '1.1.1', '1.2', '1.2.1', '1.3', '6.1', '3.1', '7', '7.1', '7.2', '7.3', '7.4',
  '12.1', '12.2', '12.1.1', '128', '130', '20', '13.1.3', '88.11', '88.22', '88.33', '88.34', '88.59', '88.67', '88.50',
  '11.1', '11.2', '66.4', '66.1', '66', '67', '481.1', '481.2', '481.3', '481.4', '481.5', '481.8', '9.1.1', '9.1.2',
  '9.1.3', '9.2.1', '104.1', '104.2', '77.1.1', '77.1.2', '77.1.4', '77.1.1.1', '77.1.2.1', '77.1.4.1', '77.1.5.1',
  '77.1.5.2', '77.1.5.4', '77.1.6', '6.2', '30', '2.2', '4.2', '4.3', '4.4', '128.1', '6', '3',
].map((suffix) => STORAGE_ROOT + suffix) // prettier-ignore

/** Names this implementation in associations and files (PS3.7 D.3.3.2, PS3.10 7.1); a UUID-derived root (PS3.5 B.2). */
export const IMPLEMENTATION_CLASS_UID: Uid = '2.25.204710437398711593372146284520613482351'
export const IMPLEMENTATION_VERSION_NAME = 'DIMSEGATE_0_1'
