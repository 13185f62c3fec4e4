import { z } from 'zod'
import { attributePath, type AttributePath } from '../../dicom/attribute-path.ts'
import { Attribute } from '../../dicom/attributes.ts'
import { CharacterSet } from '../../dicom/charset.ts'
import { Dataset, vrFor } from '../../dicom/dataset.ts'
import { groupOf, isPrivate } from '../../dicom/tag.ts'
import { isOfForm } from '../../dicom/value-form.ts'
import { representation, type Vr } from '../../dicom/vr.ts'
import { conflict } from '../fields.ts'
import { integer, name, oneOf } from '../values.ts'

/** Attributes that are taken away: one by its path, or private ones at any depth, of one creator or all. */
export type Removed =
  | { readonly path: AttributePath }
  | { readonly creator: string | undefined }
  | { readonly like: number; readonly mask: number }

export interface Assigned {
  readonly path: AttributePath
  readonly values: readonly string[]
}

export interface Source {
  readonly path: AttributePath
  readonly from: AttributePath
}

/** What was looked up is not there, or in vain: the instance goes on as it is, or it is refused. */
export type Missing = 'keep' | 'refuse'

/** One step of a change; steps are taken in their order. */
export type Change =
  | { readonly kind: 'set' | 'default' | 'prefix'; readonly values: readonly Assigned[] }
  | { readonly kind: 'remove'; readonly removed: readonly Removed[] }
  | { readonly kind: 'copy'; readonly sources: readonly Source[] }
  | {
      readonly kind: 'map'
      readonly path: AttributePath
      readonly table: Readonly<Record<string, string>>
      readonly otherwise: 'keep' | 'remove' | 'refuse'
    }
  | { readonly kind: 'uppercase' | 'hash'; readonly paths: readonly AttributePath[] }
  | { readonly kind: 'shiftDates'; readonly days: number | undefined; readonly within: number | undefined }
  | {
      readonly kind: 'fromWorklist'
      readonly archive: string
      readonly by: AttributePath
      readonly sources: readonly Source[]
      readonly missing: Missing
    }
  | {
      readonly kind: 'profile'
      readonly retain: readonly Retained[]
      readonly burnedIn: 'refuse' | 'flag'
      readonly within: number
    }

/** Options of PS3.15 E.3 that let more through. */
const RETAINED = [
  'uids',
  'device-identity',
  'institution-identity',
  'patient-characteristics',
  'full-dates',
  'modified-dates',
] as const
type Retained = (typeof RETAINED)[number]

const PIXEL_GROUP = 0x7fe0
const PIXELS: readonly number[] = [
  ...[Attribute.PixelData, Attribute.FloatPixelData, Attribute.DoubleFloatPixelData],
  ...[Attribute.ExtendedOffsetTable, Attribute.ExtendedOffsetTableLengths],
]
/** What says how the data set is to be read, or what it is: to change it would make another of it. */
const FIXED: readonly number[] = [Attribute.SpecificCharacterSet, Attribute.SOPClassUID, Attribute.PixelRepresentation]

/** Marks a fault whose message is a whole sentence. */
const whole = (message: string, path: PropertyKey[] = []) =>
  ({ code: 'custom', message, path, params: { [conflict]: true } }) as const

const attribute = z
  .string({ error: 'an attribute: a keyword or eight hexadecimal digits, below a sequence with a dot' })
  .transform((text, context): AttributePath => {
    const path = attributePath(text)
    const fault = path ? readingFault(path) : `is ${JSON.stringify(text.slice(0, 64))}, which is no attribute`
    if (fault !== undefined) context.addIssue(whole(fault))
    return path ?? [0]
  })

/** Of what is held of an instance: its encoding, and what comes from its pixel data on, are not. */
function readingFault([tag = 0]: AttributePath): string | undefined {
  return groupOf(tag) < 8 || groupOf(tag) >= PIXEL_GROUP ? 'cannot be looked at' : undefined
}

const target = attribute.superRefine((path, context) => {
  const fault = targetFault(path)
  if (fault !== undefined) context.addIssue(whole(fault))
})

function targetFault(path: AttributePath): string | undefined {
  const tag = path.at(-1)!
  if (path.some((t) => groupOf(t) < 8 || groupOf(t) >= PIXEL_GROUP) || FIXED.includes(tag)) return 'cannot be changed'
  if (isPrivate(tag)) return 'is private; expected an attribute of the standard'
  if (representation(vrFor(tag)).kind === 'sequence') return 'is a sequence; expected an attribute within it'
  if (representation(vrFor(tag)).kind === 'binary') return 'is binary; expected an attribute with text or numbers'
  const outer = path.slice(0, -1).find((t) => representation(vrFor(t)).kind !== 'sequence')
  return outer === undefined ? undefined : 'names a sequence that is none'
}

/** Instances with one UID would be taken for one another. */
function assignmentFault(path: AttributePath): string | undefined {
  const isUid = path.length === 1 && path[0] === Attribute.SOPInstanceUID
  return isUid ? 'is told apart by it; expected hash, which gives each instance its own' : targetFault(path)
}

const targets = (isMeant: (path: AttributePath) => boolean, what: string) =>
  z
    .array(target.refine(isMeant, { error: `an attribute with ${what}` }), { error: 'a list of attributes' })
    .min(1, { error: 'at least one attribute' })

/** What holds a pseudonym of 16 capitals and digits. */
const HASHED: readonly Vr[] = ['AE', 'CS', 'LO', 'LT', 'PN', 'SH', 'ST', 'UC', 'UI', 'UT']
const isHashable = (path: AttributePath): boolean => HASHED.includes(vrFor(path.at(-1)!))
const isText = (path: AttributePath): boolean =>
  representation(vrFor(path.at(-1)!)).charset || vrFor(path.at(-1)!) === 'CS'
/** It is told apart by it. */
const isNotInstance = (path: AttributePath): boolean => assignmentFault(path) === undefined

const scalar = z.union([z.string(), z.number()], { error: 'text or a number' })

/** Attributes with their values. */
const assigned = z
  .record(z.string(), z.union([scalar, z.array(scalar)], { error: 'text, a number, or a list of them' }), {
    error: 'attributes with their values',
  })
  .transform((value, context): Assigned[] =>
    Object.entries(value).map(([key, one]) => {
      const path = attributePath(key)
      const values = (Array.isArray(one) ? one : [one]).map(String)
      const fault = path ? (assignmentFault(path) ?? valueFault(path, values)) : 'is no attribute'
      if (fault !== undefined) context.addIssue(whole(fault, [key]))
      return { path: path ?? [0], values: values.length === 1 && values[0] === '' ? [] : values }
    }),
  )

function valueFault(path: AttributePath, values: readonly string[]): string | undefined {
  const tag = path.at(-1)!
  if (values.length === 1 && values[0] === '') {
    return isNeeded(path) ? 'cannot be empty: an instance is found by it' : undefined
  }
  const vr = vrFor(tag)
  const wrong = `has a value that cannot be of its VR, ${vr}`
  if (!values.every((value) => isOfForm(vr, value))) return wrong
  try {
    new Dataset(CharacterSet.of(['ISO_IR 192'])).set(tag, values)
    return undefined
  } catch {
    return wrong
  }
}

/** Attributes, and those whose values they get. */
const sources = z
  .record(z.string(), attribute, { error: 'attributes, and those whose values they get' })
  .transform((value, context): Source[] =>
    Object.entries(value).map(([key, from]) => {
      const path = attributePath(key)
      const fault = path ? assignmentFault(path) : 'is no attribute'
      if (fault !== undefined) context.addIssue(whole(fault, [key]))
      return { path: path ?? [0], from }
    }),
  )

const removable = z
  .string({ error: 'an attribute, private, private:CREATOR, or a tag with x for any digit' })
  .transform((text, context): Removed => {
    const [, isPrivateOnes, creator] = /^(private)(?::(.{1,64}))?$/.exec(text) ?? []
    if (isPrivateOnes !== undefined) return { creator: creator?.trim() }
    if (/^[0-9a-f]{8}$/i.test(text.replaceAll(/x/gi, '0')) && /x/i.test(text)) {
      const digits = (known: string, any: string): number =>
        parseInt(text.replaceAll(/[^x]/gi, known === '' ? '$&' : known).replaceAll(/x/gi, any), 16)
      const pattern = { like: digits('', '0'), mask: digits('f', '0') }
      const fault = maskFault(pattern.like, pattern.mask)
      if (fault !== undefined) context.addIssue(whole(fault))
      return pattern
    }
    const path = attributePath(text)
    const fault = path ? removalFault(path) : `is ${JSON.stringify(text.slice(0, 64))}, which is no attribute`
    if (fault !== undefined) context.addIssue(whole(fault))
    return { path: path ?? [0] }
  })

/** Without these an instance is none. */
const NEEDED: readonly number[] = [Attribute.SOPInstanceUID, Attribute.StudyInstanceUID, Attribute.SeriesInstanceUID]

function isNeeded(path: AttributePath): boolean {
  return path.length === 1 && (NEEDED.includes(path[0]!) || FIXED.includes(path[0]!))
}

function removalFault(path: AttributePath): string | undefined {
  const group = groupOf(path[0]!)
  return isNeeded(path) || group < 8 || group === PIXEL_GROUP ? 'cannot be removed' : undefined
}

/** Whether a pattern takes away what an instance cannot be without. */
function maskFault(like: number, mask: number): string | undefined {
  const fits = (tag: number): boolean => (tag & mask) >>> 0 === like
  const isWide = (mask & 0xff000000) >>> 0 !== 0xff000000
  const isMuch = isWide || [...NEEDED, ...FIXED, ...PIXELS].some(fits) || like >>> 16 < 8
  return isMuch ? 'would take away what an instance cannot be without; expected a narrower pattern' : undefined
}

const map = z
  .strictObject({
    attribute: target
      .refine(isNotInstance, { error: 'another attribute: instances are told apart by this one' })
      .describe('Whose values are replaced'),
    table: z
      .record(z.string(), z.string(), { error: 'values with what replaces them' })
      .describe('Values, and new ones'),
    otherwise: oneOf(['keep', 'remove', 'refuse'])
      .default('keep')
      .describe('What becomes of a value that is not in the table: it stays, goes, or the instance is refused'),
  })
  .superRefine(({ attribute: path, otherwise, table }, context) => {
    if (otherwise === 'remove' && isNeeded(path)) context.addIssue(whole('cannot be removed', ['otherwise']))
    const wrong = Object.entries(table).find(([, to]) => valueFault(path, [to]) !== undefined)
    if (wrong) context.addIssue(whole(valueFault(path, [wrong[1]])!, ['table', wrong[0]]))
  })

const shiftDates = z
  .strictObject({
    days: integer(-36_500, 36_500).optional().describe('So many days, the same for everybody'),
    within: integer(1, 36_500).optional().describe('So many days at most, back or forth, by patient'),
  })
  .refine(({ days, within }) => (days === undefined) !== (within === undefined), { error: 'either days or within' })

const fromWorklist = z.strictObject({
  archive: name.describe('Name of the archive whose worklist is asked'),
  by: attribute
    .prefault('AccessionNumber')
    .describe('What the instance and the scheduled step have in common: AccessionNumber, PatientID'),
  attributes: sources.describe('Attributes, and those of the worklist whose values they get'),
  missing: oneOf(['keep', 'refuse'])
    .default('keep')
    .describe('Where no step is found, or several that differ: the instance stays as it is, or is refused'),
})

const profile = z.strictObject({
  name: oneOf(['basic']).describe('The Basic Application Level Confidentiality Profile (PS3.15 E)'),
  retain: z
    .array(oneOf(RETAINED), { error: 'a list of options' })
    .default([])
    .refine((options) => !(options.includes('full-dates') && options.includes('modified-dates')), {
      error: 'full-dates or modified-dates, not both',
    })
    .describe('Options of the profile that let more through: ' + RETAINED.join(', ')),
  burnedIn: oneOf(['refuse', 'flag'])
    .default('refuse')
    .describe('What becomes of images that may show who they are of: they are refused, or said not to be clean'),
  within: integer(1, 36_500).default(3_650).describe('Of modified-dates: so many days at most, back or forth'),
})

const STEPS = {
  set: assigned.optional().describe('Sets attributes'),
  default: assigned.optional().describe('Sets those that are missing or empty'),
  remove: z
    .array(removable, { error: 'a list of attributes' })
    .min(1, { error: 'at least one attribute' })
    .optional()
    .describe('Takes attributes away: keywords, tags, private, private:CREATOR, 60xx3000'),
  copy: sources.optional().describe('Attributes, and those whose values they get'),
  map: map.optional().describe('Replaces values by a table'),
  prefix: assigned.optional().describe('Puts text in front of values, once'),
  uppercase: targets(isText, 'text').optional().describe('Writes values in capitals'),
  hash: targets(isHashable, 'text or UIDs: dates are moved by shiftDates')
    .optional()
    .describe('Replaces values by pseudonyms, the same for the same value'),
  shiftDates: shiftDates.optional().describe('Moves all dates'),
  fromWorklist: fromWorklist.optional().describe('Sets attributes to what the worklist says'),
  profile: z
    .union([oneOf(['basic']).transform((value) => profile.parse({ name: value })), profile], {
      error: 'basic, or a group of name, retain, burnedIn and within',
    })
    .optional()
    .describe('De-identifies, as the standard has it'),
}

/** One step of `set`: one of its keys. */
export const change = z
  .strictObject(STEPS)
  .superRefine((value, context) => {
    const given = Object.keys(value)
    if (given.length !== 1)
      context.addIssue(whole(`has ${given.length} keys; expected one a step: ${Object.keys(STEPS).join(', ')}`))
  })
  .transform(changeOf)

function changeOf(step: {
  readonly [K in keyof typeof STEPS]?: z.output<(typeof STEPS)[K]>
}): Change {
  if (step.set) return { kind: 'set', values: step.set }
  if (step.default) return { kind: 'default', values: step.default }
  if (step.prefix) return { kind: 'prefix', values: step.prefix }
  if (step.remove) return { kind: 'remove', removed: step.remove }
  if (step.copy) return { kind: 'copy', sources: step.copy }
  if (step.uppercase) return { kind: 'uppercase', paths: step.uppercase }
  if (step.hash) return { kind: 'hash', paths: step.hash }
  if (step.shiftDates) return { kind: 'shiftDates', days: step.shiftDates.days, within: step.shiftDates.within }
  if (step.map) {
    const { attribute: path, table, otherwise } = step.map
    return { kind: 'map', path, table, otherwise }
  }
  if (step.profile) {
    const { retain, burnedIn, within } = step.profile
    return { kind: 'profile', retain, burnedIn, within }
  }
  if (step.fromWorklist) {
    const { archive, by, attributes, missing } = step.fromWorklist
    return { kind: 'fromWorklist', archive, by, sources: attributes, missing }
  }
  return { kind: 'set', values: [] }
}
