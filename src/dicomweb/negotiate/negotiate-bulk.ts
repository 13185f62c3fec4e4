import {
  EXPLICIT_VR_LITTLE_ENDIAN,
  isKnownTransferSyntax,
  isWebSyntax,
  OCTET_STREAM,
  transferSyntax,
  type TransferSyntax,
} from '../../dicom/transfer-syntax.ts'
import type { Accept, MediaRange } from './accept.ts'
import { defaultSyntaxOf, withoutAlias } from './bulk-media.ts'
import { choose, isAnyOf, isMultipartRelated, payloadOf, syntaxParameter, type Negotiable } from './negotiate.ts'

/** One way to answer with frames, pixel data or other bulk data. */
export interface BulkOffer {
  readonly form: 'multipart' | 'single'
  /** Of the bytes; `*` is any, `image/*` any image. */
  readonly media: string
  /** Transfer syntax UID; `*` as stored. Undefined where the media type has none. */
  readonly syntax: string | undefined
  /** The client's preference, q (RFC 9110 12.4.2). */
  readonly q: number
  /** By the query parameter, which goes before the header whatever q says (PS3.18 8.7.8.1). */
  readonly isOfQuery?: true
}

/** The form and media type in which an offer gives bulk data. */
export interface Representation {
  readonly form: BulkOffer['form']
  /** With its transfer-syntax parameter. */
  readonly contentType: string
}

/**
 * How bulk data may be given, best first; empty when nothing is acceptable (406). `single`: there is one value or frame
 * only, and a body without multipart may hold it (PS3.18 10.4.4).
 */
export function negotiateBulkData(accept: Accept, resource: { readonly single: boolean }): BulkOffer[] {
  const negotiable = resource.single ? oneValue : manyValues
  const { length: ofQuery } = choose({ query: accept.query, header: [] }, negotiable)
  return choose(accept, negotiable).map((offer, at) => (at < ofQuery ? { ...offer, isOfQuery: true } : offer))
}

const manyValues = bulkResource(['multipart'])
const oneValue = bulkResource(['multipart', 'single'])

/** @param forms the forms the resource has, its default first */
function bulkResource(forms: readonly BulkOffer['form'][]): Negotiable<BulkOffer> {
  const offered = (form: BulkOffer['form'], media: string, syntax: string | undefined, q: number): BulkOffer[] =>
    forms.includes(form) ? [{ form, media, syntax: syntax ?? defaultSyntaxOf(media), q }] : []
  return {
    named(range) {
      if (isMultipartRelated(range)) {
        const media = withoutAlias(payloadOf(range) ?? '*/*')
        return media.endsWith('*') ? undefined : offered('multipart', media, syntaxParameter(range), range.q)[0]
      }
      if (range.subtype === '*' || range.type === 'multipart') return undefined
      return offered('single', withoutAlias(`${range.type}/${range.subtype}`), syntaxParameter(range), range.q)[0]
    },
    defaults(range) {
      const syntax = syntaxParameter(range)
      if (isMultipartRelated(range)) return offered('multipart', payloadOf(range) ?? '*/*', syntax ?? '*', range.q)
      if (range.type === '*' || range.type === 'multipart') {
        return forms.flatMap((form) =>
          form === 'single' && range.type !== '*' ? [] : offered(form, '*/*', '*', range.q),
        )
      }
      return offered('single', `${range.type}/*`, syntax ?? '*', range.q)
    },
    covers: (range, offer) => isCovered(range, offer),
    same: (a, b) => a.form === b.form && a.media === b.media && a.syntax === b.syntax,
  }
}

function isCovered(range: MediaRange, { form, media, syntax }: BulkOffer): boolean {
  const [type = '', subtype = ''] = media.split('/')
  const wanted = syntaxParameter(range)
  if (wanted !== undefined && wanted !== '*' && wanted !== syntax) return false
  if (isMultipartRelated(range)) return form === 'multipart' && matches(payloadOf(range) ?? '*/*', media)
  if (form === 'multipart') return isAnyOf(range, 'multipart')
  return isAnyOf(range, type) || (range.type === type && range.subtype === subtype)
}

/**
 * The first offer under which pixel data can be given as it is stored. `lossyToo`: what exists only with loss is given as
 * it is to who asked for a syntax it is not in (PS3.18 8.7.3).
 */
export function representPixelData(
  offers: readonly BulkOffer[],
  stored: TransferSyntax,
  lossyToo: boolean,
): Representation | undefined {
  const uid = stored.encapsulated ? stored.uid : EXPLICIT_VR_LITTLE_ENDIAN.uid
  const own = stored.media
  for (const { form, media, syntax } of offers) {
    const isOctets = media === OCTET_STREAM
    const given = isOctets ? OCTET_STREAM : own
    const fits = isOctets || matches(media, own)
    const exact = syntax === '*' || syntax === uid
    const onlyWithLoss = lossyToo && stored.lossy && (isOctets || media === own)
    if ((fits && exact) || onlyWithLoss) return { form, contentType: `${given}; transfer-syntax=${uid}` }
  }
  return undefined
}

/** Groups of offers with the same preference: by the query parameter or not, and q; the most preferred group first. */
export function byWish(offers: readonly BulkOffer[]): readonly (readonly BulkOffer[])[] {
  const runs: BulkOffer[][] = []
  for (const offer of offers) {
    const last = runs.at(-1)
    if (last && last[0]!.q === offer.q && last[0]!.isOfQuery === offer.isOfQuery) last.push(offer)
    else runs.push([offer])
  }
  return runs
}

/** The syntaxes that the client names, each with how pixel data is given in it; in the order of the offers. */
export function wantedSyntaxes(
  offers: readonly BulkOffer[],
): readonly (Representation & { readonly syntax: TransferSyntax })[] {
  return offers.flatMap(({ form, media, syntax: uid }) => {
    if (uid === undefined || !isKnownTransferSyntax(uid)) return []
    const syntax = transferSyntax(uid)
    const isOctets = media === OCTET_STREAM
    const isWanted = isOctets ? isWebSyntax(syntax) && !syntax.deflated : matches(media, syntax.media)
    if (!isWanted) return []
    return [{ form, contentType: `${isOctets ? media : syntax.media}; transfer-syntax=${uid}`, syntax }]
  })
}

/** The first offer that fits a value other than pixel data: as bytes, or in its own media type. */
export function representValue(offers: readonly BulkOffer[], own: string | undefined): Representation | undefined {
  for (const { form, media, syntax } of offers) {
    if (own !== undefined && matches(media, own)) return { form, contentType: own }
    const isPlain = syntax === '*' || syntax === EXPLICIT_VR_LITTLE_ENDIAN.uid
    if (matches(media, OCTET_STREAM) && isPlain) {
      return { form, contentType: `${OCTET_STREAM}; transfer-syntax=${EXPLICIT_VR_LITTLE_ENDIAN.uid}` }
    }
  }
  return undefined
}

function matches(range: string, media: string): boolean {
  if (range === '*/*' || range === '*') return true
  return range.endsWith('/*') ? media.startsWith(range.slice(0, -1)) : range === media
}
