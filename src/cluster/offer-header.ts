import { z } from 'zod'
import { parsedJson } from '../network/parsed-json.ts'
import type { Offer } from '../pacs/delivery/elsewhere.ts'

/** One offer, and how well the instance fits what its receiver has. */
export interface OfferMade {
  readonly offer: Offer
  readonly fit: number
}

const text = z.string().optional()

const shape = z.object({
  fit: z.number(),
  offer: z.object({
    archives: z.array(z.string()),
    sopClass: z.string(),
    sopInstance: z.string(),
    syntax: z.string(),
    moveOriginatorAeTitle: text,
    moveOriginatorMessageId: z.number().optional(),
    identity: z.object({ sopClass: text, sopInstance: text, study: text, series: text }),
  }),
})

/** A header field's value has to be ASCII; an AE title or UID of an archive may be anything. */
export function writeOffer(made: OfferMade): string {
  return Buffer.from(JSON.stringify(made)).toString('base64url')
}

/** Undefined for what is none. */
export function readOffer(value: unknown): OfferMade | undefined {
  if (typeof value !== 'string') return undefined
  const { data } = shape.safeParse(parsedJson(Buffer.from(value, 'base64url').toString()))
  return data as OfferMade | undefined
}
