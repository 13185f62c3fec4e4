import { Attribute } from '../../dicom/attributes.ts'
import { asGiven } from '../../dicom/as-given.ts'
import { Dataset } from '../../dicom/dataset.ts'
import type { Uid } from '../../dicom/uids.ts'
import { encodeJson } from './json.ts'
import { retrieveUrl } from '../resource.ts'

/** One instance the archive took; `warning` is its C-STORE status where that is a warning. */
export interface StoredInstance {
  readonly sopClass: Uid
  readonly sopInstance: Uid
  readonly study: Uid
  readonly series: Uid
  readonly warning?: number
  /** It went to others, or under other UIDs: it cannot be retrieved here. */
  readonly isElsewhere?: boolean
}

/** One instance it did not take, and why (PS3.18 Table I.2-2). */
export interface FailedInstance {
  readonly sopClass: Uid
  readonly sopInstance: Uid
  readonly reason: number
}

/** Failure Reason values that we give ourselves (PS3.18 I.2.2). */
export const FailureReason = {
  processingFailure: 0x0110,
  /** Who stores may not store this. */
  notAuthorized: 0x0124,
  /** The instance is of another study than the URL. */
  otherStudy: 0xa901,
  cannotUnderstand: 0xc000,
} as const

/** Gathers what became of each part of a store request, and says it as PS3.18 Table I.1-1 does. */
export class StoreResponse {
  readonly #stored: StoredInstance[] = []
  readonly #failed: FailedInstance[] = []
  readonly #others: number[] = []

  addStored(instance: StoredInstance): void {
    this.#stored.push(instance)
  }

  addFailed(instance: FailedInstance): void {
    this.#failed.push(instance)
  }

  /** A part that is not a DICOM instance, or whose UIDs cannot be read. */
  addOther(reason: number): void {
    this.#others.push(reason)
  }

  /** What can be retrieved where it was sent to. */
  get storedHere(): readonly StoredInstance[] {
    return this.#stored.filter(({ isElsewhere }) => isElsewhere !== true)
  }

  /** Of what was stored: it counts as failed after all. */
  fail(instances: readonly FailedInstance[]): void {
    const uids = new Set(instances.map(({ sopInstance }) => sopInstance))
    const left = this.#stored.filter(({ sopInstance }) => !uids.has(sopInstance))
    this.#stored.splice(0, this.#stored.length, ...left)
    for (const { sopClass, sopInstance, reason } of instances) this.addFailed({ sopClass, sopInstance, reason })
  }

  get stored(): number {
    return this.#stored.length
  }

  get total(): number {
    return this.#stored.length + this.#failed.length + this.#others.length
  }

  get failureReasons(): readonly number[] {
    return [...this.#failed.map(({ reason }) => reason), ...this.#others]
  }

  /** PS3.18 Table 10.5.3-1: 200 when all were stored without a warning, 202 when some were stored, else 409. */
  get status(): 200 | 202 | 409 {
    if (this.stored === 0) return 409
    return this.stored === this.total && this.#stored.every(({ warning }) => warning === undefined) ? 200 : 202
  }

  /** The module as one DICOM JSON object. `base`: the service's URL, for the retrieve URLs. */
  toJson(base: string): string {
    const dataset = new Dataset()
    const studies = new Set(this.storedHere.map(({ study }) => study))
    const [study] = studies
    const url = study !== undefined && studies.size === 1 ? retrieveUrl(base, { study }) : undefined
    if (url === undefined) dataset.setEmpty(Attribute.RetrieveURL)
    else dataset.set(Attribute.RetrieveURL, url)
    if (this.#stored.length > 0) {
      dataset.setItems(
        Attribute.ReferencedSOPSequence,
        this.#stored.map((instance) => storedItem(base, instance)),
      )
    }
    if (this.#failed.length > 0) dataset.setItems(Attribute.FailedSOPSequence, this.#failed.map(failedItem))
    if (this.#others.length > 0) {
      dataset.setItems(
        Attribute.OtherFailuresSequence,
        this.#others.map((reason) => new Dataset().set(Attribute.FailureReason, reason)),
      )
    }
    return encodeJson(dataset)
  }
}

function storedItem(
  base: string,
  { sopClass, sopInstance, study, series, warning, isElsewhere }: StoredInstance,
): Dataset {
  const item = new Dataset()
    .set(Attribute.ReferencedSOPClassUID, sopClass)
    .put(Attribute.ReferencedSOPInstanceUID, { vr: 'UI', value: asGiven('UI', [sopInstance]) })
  const url = isElsewhere === true ? undefined : retrieveUrl(base, { study, series, instance: sopInstance })
  if (url !== undefined) item.set(Attribute.RetrieveURL, url)
  return warning === undefined ? item : item.set(Attribute.WarningReason, warning)
}

function failedItem({ sopClass, sopInstance, reason }: FailedInstance): Dataset {
  return new Dataset()
    .set(Attribute.ReferencedSOPClassUID, sopClass)
    .put(Attribute.ReferencedSOPInstanceUID, { vr: 'UI', value: asGiven('UI', [sopInstance]) })
    .set(Attribute.FailureReason, reason)
}
