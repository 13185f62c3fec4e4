import { dictionaryVr } from '../../dicom/dictionary.ts'
import { isPrivate, type Tag } from '../../dicom/tag.ts'
import { profileData } from './profile-data.ts'

/** Options of PS3.15 E.3 that let more through, by their names there. */
export type RetainOption =
  'uids' | 'device-identity' | 'institution-identity' | 'patient-characteristics' | 'full-dates' | 'modified-dates'

/** The columns of profileData, in their order. */
const OPTIONS: readonly RetainOption[] = [
  'uids',
  'device-identity',
  'institution-identity',
  'patient-characteristics',
  'full-dates',
  'modified-dates',
]

/** What becomes of an attribute (PS3.15 E.1.1): X, Z, D, U and K; and what has its date moved. */
export type Action = 'remove' | 'empty' | 'dummy' | 'uid' | 'keep' | 'shift'

interface Row {
  readonly basic: string
  /** K, C or - for each option. */
  readonly options: string
}

/** Of several actions one that suits every type that the attribute may have in an IOD: what is empty, or a dummy, is no fault. */
const ACTIONS: Readonly<Record<string, Action>> = {
  X: 'remove',
  Z: 'empty',
  D: 'dummy',
  U: 'uid',
  K: 'keep',
  'X/Z': 'empty',
  'X/D': 'dummy',
  'Z/D': 'dummy',
  'X/Z/D': 'dummy',
  'X/Z/U*': 'uid',
}

/**
 * What else tells of a person, a place or another data set, and is in no row: dates of birth and death in other calendars,
 * addresses in the web, remarks.
 */
const OWN: readonly Tag[] = [
  ...[0x00100033, 0x00100034, 0x00400400, 0x30040006, 0x0022112c, 0x00440011, 0x00660004, 0x300a0402, 0x30080202],
]

const rows = new Map<Tag, Row>()
for (const line of profileData.trim().split('\n')) {
  const [tag = '', basic = '', options = ''] = line.split(' ')
  if (/^[0-9A-F]{8}$/.test(tag)) rows.set(parseInt(tag, 16), { basic, options })
}

/** The Basic Application Level Confidentiality Profile, with options. */
export class Profile {
  readonly retained: ReadonlySet<RetainOption>

  constructor(retained: readonly RetainOption[]) {
    this.retained = new Set(retained)
  }

  /** What becomes of an attribute; undefined where the standard has nothing against it. `isSequence`: of items nobody can make a dummy that says something. */
  actionOf(tag: Tag, isSequence: boolean): Action | undefined {
    if (isPrivate(tag) || isGraphics(tag)) return 'remove'
    const row = rows.get(tag)
    if (!row) return isTelling(tag) ? 'remove' : undefined
    // What moves with the other dates of a patient would give away by how much, if it stayed.
    const columns = OPTIONS.map((option, at) => (this.retained.has(option) ? row.options[at] : '-'))
    if (this.retained.has('modified-dates') && row.options[OPTIONS.indexOf('modified-dates')] === 'C') return 'shift'
    // What has to be cleaned by somebody who can read: the basic action stands.
    if (columns.includes('K')) return 'keep'
    if (isSequence && row.basic.includes('X') && row.basic.includes('D')) return 'remove'
    return ACTIONS[row.basic] ?? 'remove'
  }
}

/** Curves, and overlays whole: without its data or comments one is none (PS3.5 7.6: in even groups up to xx1E). */
function isGraphics(tag: Tag): boolean {
  const high = tag >>> 24
  const low = (tag >>> 16) & 0xff
  return (high === 0x50 || high === 0x60) && low <= 0x1e && (low & 1) === 0
}

/** Of what the standard has no row for: what nobody knows, and what names people or leads elsewhere. */
function isTelling(tag: Tag): boolean {
  const vr = dictionaryVr(tag)
  return vr === undefined || vr === 'PN' || vr === 'UR' || OWN.includes(tag)
}
