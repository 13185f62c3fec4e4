import type { Accept, MediaRange } from './accept.ts'
import { choose, isMultipartRelated, payloadOf, syntaxParameter, type Negotiable } from './negotiate.ts'

/** Media types that something can be rendered as (PS3.18 Table 8.7.4-1); those of images first. */
export const IMAGE_TYPES = ['image/jpeg', 'image/png', 'image/gif'] as const
export type ImageType = (typeof IMAGE_TYPES)[number]
export type TextType = 'text/html' | 'text/plain'
export type RenderedType = ImageType | TextType | 'application/pdf' | 'video/mp4' | 'video/mpeg' | 'video/H265'

/** One way to answer. */
export interface RenderedOffer<Media extends string = RenderedType> {
  readonly form: 'single' | 'multipart'
  readonly media: Media
}

/**
 * How a rendered resource may be given, best first; empty when nothing is acceptable (406). `media`: what can be made of
 * it, its default first. PS3.18 8.7.4: no transfer syntaxes.
 */
export function negotiateRendered<Media extends string>(
  accept: Accept,
  resource: { readonly media: readonly Media[]; readonly forms: readonly RenderedOffer['form'][] },
): RenderedOffer<Media>[] {
  return choose(accept, renderedResource(resource.media, resource.forms))
}

function renderedResource<Media extends string>(
  media: readonly Media[],
  forms: readonly RenderedOffer['form'][],
): Negotiable<RenderedOffer<Media>> {
  const essence = ({ type, subtype }: MediaRange): string => `${type}/${subtype}`
  const rangeOf = (range: MediaRange): { form: RenderedOffer['form']; text: string } =>
    isMultipartRelated(range)
      ? { form: 'multipart', text: payloadOf(range) ?? '*/*' }
      : { form: 'single', text: essence(range) }
  return {
    named(range) {
      const { form, text } = rangeOf(range)
      const found = media.find((one) => one.toLowerCase() === text)
      if (found === undefined || !forms.includes(form) || syntaxParameter(range) !== undefined) return undefined
      return { form, media: found }
    },
    defaults(range) {
      if (syntaxParameter(range) !== undefined) return []
      if (range.type === 'multipart' && range.subtype === '*') return offersOf('*/*', ['multipart'])
      const { form, text } = rangeOf(range)
      return offersOf(text, text === '*/*' && form === 'single' ? forms : [form])
    },
    covers(range, offer) {
      const { form, text } = rangeOf(range)
      if (text === '*/*' && form === 'single') return true
      return form === offer.form && fits(text, offer.media)
    },
    same: (a, b) => a.form === b.form && a.media === b.media,
  }

  function offersOf(text: string, wanted: readonly RenderedOffer['form'][]): RenderedOffer<Media>[] {
    return forms
      .filter((form) => wanted.includes(form))
      .flatMap((form) => media.filter((one) => fits(text, one)).map((one) => ({ form, media: one })))
  }
}

function fits(range: string, media: string): boolean {
  if (range === '*/*' || range === '*') return true
  return range.endsWith('/*') ? media.startsWith(range.slice(0, -1)) : media.toLowerCase() === range
}
