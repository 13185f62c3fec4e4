import { EXPLICIT_VR_LITTLE_ENDIAN, isWebSyntax, transferSyntax } from '../../dicom/transfer-syntax.ts'
import { isUid, type Uid } from '../../dicom/uids.ts'
import type { Accept, MediaRange } from './accept.ts'

/** One way to answer with instances. */
export interface InstanceOffer {
  /** `multipart`: multipart/related of application/dicom parts. `single`: one application/dicom body. `zip`: files in a ZIP. */
  readonly form: 'multipart' | 'single' | 'zip'
  /** The transfer syntax UID to answer in; `*` as stored. Never Implicit VR Little or Explicit VR Big Endian. */
  readonly syntax: string
}

/** JSON, or one Native DICOM Model document a part of a multipart/related body. */
export type ModelType = 'application/dicom+json' | 'application/json' | 'application/dicom+xml'

/** The media type for metadata and search results; undefined when none is acceptable (406). */
export function negotiateModel(accept: Accept): ModelType | undefined {
  return choose(accept, modelResource)[0]
}

/** A list in DICOM JSON as the one part of a multipart/related body. */
export const JSON_PARTS = 'multipart/related; type="application/dicom+json"'

/** What to answer a search of the worklist with, which may be JSON in parts as well (PS3.18 14.4); undefined: 406. */
export function negotiateSteps(accept: Accept): ModelType | typeof JSON_PARTS | undefined {
  return choose(accept, stepResource)[0]
}

/**
 * What to answer a retrieve of instances with, best first; empty when nothing is acceptable (406). Take the first that
 * can be produced. `single`: the resource is one instance; only then is application/dicom without multipart an answer
 * (PS3.18 10.4.4). Of an offer `*`, single syntaxes the client refused by q=0 are not taken out.
 */
export function negotiateInstances(accept: Accept, resource: { readonly single: boolean }): InstanceOffer[] {
  return choose(accept, resource.single ? oneInstance : manyInstances)
}

const XML = 'application/dicom+xml'

/** A kind of resource (instances, metadata): the representations that a media range can select of it. */
export interface Negotiable<Offer> {
  /** What a range naming a type asks for; undefined when the resource has no such representation. */
  named(range: MediaRange): Offer | undefined
  /** For a wildcard range: the defaults of the resource's category, of which the first not refused counts. */
  defaults(range: MediaRange): readonly Offer[]
  /** Whether the offer falls under the range, for q=0. */
  covers(range: MediaRange, offer: Offer): boolean
  same(a: Offer, b: Offer): boolean
}

/**
 * PS3.18 8.7.8.1: the query parameter before the header; in each, named types before wildcards, then by q. Ties: the
 * more specific range, then order of appearance. A range with q=0 takes out what it covers, unless a more specific range
 * asks for it (RFC 9110 12.5.1); one in the query parameter holds for the header too.
 */
export function choose<Offer>(accept: Accept, resource: Negotiable<Offer>): Offer[] {
  const offers: Offer[] = []
  const refusals: MediaRange[] = []
  for (const ranges of [accept.query, accept.header]) {
    refusals.push(...ranges.filter((range) => range.q === 0))
    for (const range of ranges.filter((candidate) => candidate.q > 0).sort(byPreference)) {
      const named = resource.named(range)
      const candidates = named === undefined ? resource.defaults(range) : [named]
      const offer = candidates.find((candidate) => !isRefused(candidate, range, refusals, resource))
      if (offer !== undefined && !offers.some((other) => resource.same(other, offer))) offers.push(offer)
    }
  }
  return offers
}

function isRefused<Offer>(
  offer: Offer,
  asked: MediaRange,
  refusals: readonly MediaRange[],
  resource: Negotiable<Offer>,
): boolean {
  return refusals.some((range) => specificity(range) >= specificity(asked) && resource.covers(range, offer))
}

function byPreference(a: MediaRange, b: MediaRange): number {
  return (
    Number(isWildcard(a)) - Number(isWildcard(b)) || b.q - a.q || specificity(b) - specificity(a) || a.index - b.index
  )
}

/** multipart/related counts by its type parameter: without one, or with a wildcard there, it names no payload. */
function specificity(range: MediaRange): number {
  if (range.type === '*') return 0
  if (range.subtype === '*') return 1
  if (isWildcard(range)) return 2
  const syntax = syntaxParameter(range)
  return syntax === undefined ? 3 : syntax === '*' ? 4 : 5
}

function isWildcard(range: MediaRange): boolean {
  return range.subtype === '*' || (isMultipartRelated(range) && (payloadOf(range) ?? '*/*').endsWith('*'))
}

export function isMultipartRelated(range: MediaRange): boolean {
  return range.type === 'multipart' && range.subtype === 'related'
}

export function payloadOf(range: MediaRange): string | undefined {
  const type = range.parameters.get('type')
  return type === undefined || type === '' ? undefined : type.toLowerCase()
}

export function syntaxParameter(range: MediaRange): string | undefined {
  const syntax = range.parameters.get('transfer-syntax')
  return syntax === '' ? undefined : syntax
}

const modelResource: Negotiable<ModelType> = {
  named(range) {
    if (isMultipartRelated(range)) return payloadOf(range) === XML ? XML : undefined
    if (range.type !== 'application') return undefined
    if (range.subtype === 'dicom+json') return 'application/dicom+json'
    // PS3.18 has this type in multipart only; a client that asks for the bare type gets multipart too.
    if (range.subtype === 'dicom+xml') return XML
    return range.subtype === 'json' ? 'application/json' : undefined
  },
  defaults(range) {
    if (isMultipartRelated(range)) return wildcardCovers(range, 'multipart') ? [XML] : []
    if (range.type === 'multipart') return [XML]
    return isAnyOf(range, 'application') ? ['application/dicom+json', XML] : []
  },
  covers(range, offer) {
    if (isMultipartRelated(range))
      return offer === XML && (payloadOf(range) === XML || wildcardCovers(range, 'multipart'))
    return isAnyOf(range, 'application') || `${range.type}/${range.subtype}` === offer
  },
  same: (a, b) => a === b,
}

const stepResource: Negotiable<ModelType | typeof JSON_PARTS> = {
  named: (range) => (isOfJsonParts(range) ? JSON_PARTS : modelResource.named(range)),
  defaults: (range) => modelResource.defaults(range),
  covers: (range, offer) =>
    offer === JSON_PARTS
      ? isOfJsonParts(range) || wildcardCovers(range, 'multipart')
      : modelResource.covers(range, offer),
  same: (a, b) => a === b,
}

function isOfJsonParts(range: MediaRange): boolean {
  return isMultipartRelated(range) && payloadOf(range) === 'application/dicom+json'
}

const manyInstances = instanceResource(['multipart', 'zip'])
const oneInstance = instanceResource(['multipart', 'single', 'zip'])

/** @param forms the forms the resource has, its default first */
function instanceResource(forms: readonly InstanceOffer['form'][]): Negotiable<InstanceOffer> {
  const formOf = (range: MediaRange): InstanceOffer['form'] | undefined => {
    if (isMultipartRelated(range) && payloadOf(range) === 'application/dicom') return 'multipart'
    if (range.type !== 'application') return undefined
    return range.subtype === 'dicom' ? 'single' : range.subtype === 'zip' ? 'zip' : undefined
  }
  // An archive is for who asks for one.
  const byDefault = forms.filter((form) => form !== 'zip')
  return {
    named(range) {
      const form = formOf(range)
      const syntax = answerSyntax(range)
      return form !== undefined && forms.includes(form) && syntax !== undefined ? { form, syntax } : undefined
    },
    defaults(range) {
      const syntax = answerSyntax(range)
      if (syntax === undefined) return []
      // application/* covers no multipart, but who sends it wants instances: on a study it is better served than refused.
      const anyForm = isAnyOf(range, 'application')
      return byDefault.filter((form) => anyForm || wildcardCovers(range, form)).map((form) => ({ form, syntax }))
    },
    covers(range, offer) {
      const form = formOf(range)
      if (form !== undefined ? form !== offer.form : !wildcardCovers(range, offer.form)) return false
      const syntax = syntaxParameter(range)
      return syntax === undefined || syntax === '*' || syntax === offer.syntax
    },
    same: (a, b) => a.form === b.form && a.syntax === b.syntax,
  }
}

function wildcardCovers(range: MediaRange, form: InstanceOffer['form']): boolean {
  if (form !== 'multipart') return isAnyOf(range, 'application')
  if (isMultipartRelated(range)) return ['*', '*/*', 'application/*'].includes(payloadOf(range) ?? '*/*')
  return isAnyOf(range, 'multipart')
}

/** Any type at all, or any subtype of this one. */
export function isAnyOf(range: MediaRange, type: string): boolean {
  return range.subtype === '*' && (range.type === '*' || range.type === type)
}

/** The transfer syntax that a media range names; undefined for a malformed UID or a syntax that no answer may have. */
function answerSyntax(range: MediaRange): Uid | undefined {
  // PS3.18 8.7.3: application/dicom without a transfer-syntax parameter.
  const syntax = syntaxParameter(range) ?? EXPLICIT_VR_LITTLE_ENDIAN.uid
  if (syntax === '*') return syntax
  return isUid(syntax) && isWebSyntax(transferSyntax(syntax)) ? syntax : undefined
}
