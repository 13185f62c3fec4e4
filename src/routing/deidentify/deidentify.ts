import { Attribute } from '../../dicom/attributes.ts'
import { Breather } from '../../dicom/breather.ts'
import { Dataset, type Element } from '../../dicom/dataset.ts'
import type { Tag } from '../../dicom/tag.ts'
import { isPixelData } from '../../instance/bulk-attributes.ts'
import { putDummy } from './dummy.ts'
import type { Profile, RetainOption } from './profile.ts'
import type { PixelRisk } from './burned-in.ts'
import type { Pseudonyms } from './pseudonyms.ts'
import { shiftDates } from './shift-dates.ts'

/** How an instance is de-identified. */
export interface Deidentification {
  readonly profile: Profile
  readonly pseudonyms: Pseudonyms
  /** By which its dates are moved, where they are. */
  readonly days: number
}

/** Codes of De-identification Method (PS3.16 CID 7050). */
const BASIC_PROFILE = ['113100', 'Basic Application Confidentiality Profile'] as const
const OPTION_CODES: Readonly<Record<RetainOption, readonly [string, string]>> = {
  'full-dates': ['113106', 'Retain Longitudinal Temporal Information Full Dates Option'],
  'modified-dates': ['113107', 'Retain Longitudinal Temporal Information Modified Dates Option'],
  'patient-characteristics': ['113108', 'Retain Patient Characteristics Option'],
  'device-identity': ['113109', 'Retain Device Identity Option'],
  uids: ['113110', 'Retain UIDs Option'],
  'institution-identity': ['113112', 'Retain Institution Identity Option'],
}

/** Carries out the Basic Profile (PS3.15 E.2) in a data set and all items in it, and says so in it. */
export async function deidentify(root: Dataset, by: Deidentification, risk: PixelRisk): Promise<void> {
  const patient = patientKey(root)
  await clean(root, by, new Breather())
  // Z and D let a value stand for the patient: one person stays one (PS3.15 E.1.1).
  const pseudonym = by.pseudonyms.text(patient)
  root.set(Attribute.PatientID, pseudonym).set(Attribute.PatientName, pseudonym)
  sign(root, by.profile, risk)
}

/** What tells patients apart: the id with its issuer, where there is none the name, or at last the study. */
export function patientKey(root: Dataset): string {
  const text = (tag: Tag): string => root.string(tag)?.trim() ?? ''
  const own = [Attribute.PatientID, Attribute.PatientName, Attribute.StudyInstanceUID].map(text)
  return [text(Attribute.IssuerOfPatientID), own.find((value) => value !== '') ?? ''].join('\\')
}

async function clean(dataset: Dataset, by: Deidentification, breather: Breather, isItem = false): Promise<void> {
  for (const [tag, element] of dataset.entries()) {
    if (breather.isDue) await breather.breathe()
    const isSequence = Array.isArray(element.value)
    // Pictures of pictures: icons, and whatever else.
    const action = isItem && isPixelData(tag) ? 'remove' : by.profile.actionOf(tag, isSequence)
    if (action === 'remove') dataset.delete(tag)
    else if (action === 'empty') dataset.put(tag, { vr: element.vr, value: isSequence ? [] : new Uint8Array(0) })
    else if (action === 'dummy') putDummy(dataset, tag, element, by)
    else if (isSequence) for (const item of dataset.items(tag)) await clean(item, by, breather, true)
    if (action === 'uid' && !isSequence) replaceUids(dataset, tag, by.pseudonyms)
    if (action === 'shift') shiftOne(dataset, tag, element, by.days)
  }
}

function replaceUids(dataset: Dataset, tag: Tag, pseudonyms: Pseudonyms): void {
  const uids = dataset.strings(tag)
  if (uids.length > 0)
    dataset.set(
      tag,
      uids.map((uid) => pseudonyms.uid(uid)),
      'UI',
    )
}

/** What is no date cannot be moved, and is emptied: times of day go with the dates that they are of. */
function shiftOne(dataset: Dataset, tag: Tag, element: Element, days: number): void {
  if (element.vr === 'TM') return
  if (element.vr !== 'DA' && element.vr !== 'DT') {
    dataset.put(tag, { vr: element.vr, value: Array.isArray(element.value) ? [] : new Uint8Array(0) })
    return
  }
  const alone = new Dataset(dataset.characterSet).put(tag, element)
  shiftDates(alone, days)
  dataset.put(tag, alone.get(tag)!)
}

/** What was done (PS3.3 C.12.1.1.3.1 and C.12.1.1.3.2); of pixels that nobody has looked at it is not said that they are clean. */
function sign(root: Dataset, { retained }: Profile, risk: PixelRisk): void {
  const codes = [BASIC_PROFILE, ...[...retained].map((option) => OPTION_CODES[option])]
  const unseen = risk === 'none' ? [] : ['Pixel data was not looked at']
  const dates = retained.has('full-dates') ? 'UNMODIFIED' : retained.has('modified-dates') ? 'MODIFIED' : 'REMOVED'
  root
    .set(Attribute.PatientIdentityRemoved, risk === 'none' ? 'YES' : 'NO')
    .set(Attribute.DeidentificationMethod, ['PS3.15 E Basic Profile 2026d', ...unseen])
    .set(Attribute.LongitudinalTemporalInformationModified, dates)
    .setItems(
      Attribute.DeidentificationMethodCodeSequence,
      codes.map(([value, meaning]) =>
        new Dataset(root.characterSet)
          .set(Attribute.CodeValue, value)
          .set(Attribute.CodingSchemeDesignator, 'DCM')
          .set(Attribute.CodeMeaning, meaning),
      ),
    )
}
