/** Content codings (RFC 9110 8.4.1, RFC 7932, RFC 8878) that text is given in, the one that serves best first. */
export const codings = ['zstd', 'br', 'gzip'] as const

export type Coding = (typeof codings)[number]

/** Elements of a list that are looked at. */
const MAX_ELEMENTS = 32

/**
 * The coding that a client likes best of those there are (RFC 9110 12.5.3); undefined where it names none of them, or likes
 * what is not coded better. What cannot be read is passed over.
 */
export function chooseCoding(header: string | undefined): Coding | undefined {
  const wanted = weights(header ?? '')
  const weightOf = (coding: string): number => wanted.get(coding) ?? wanted.get('*') ?? 0
  const plain = wanted.get('identity') ?? 0
  let best: Coding | undefined
  for (const coding of codings) {
    const weight = weightOf(coding)
    if (weight > 0 && weight >= plain && weight > (best ? weightOf(best) : 0)) best = coding
  }
  return best
}

function weights(header: string): ReadonlyMap<string, number> {
  const found = new Map<string, number>()
  for (const element of header.toLowerCase().split(',', MAX_ELEMENTS)) {
    const [name = '', ...parameters] = element.split(';').map((part) => part.trim())
    const q = parameters.find((one) => /^q\s*=/.test(one))?.replace(/^q\s*=\s*/, '')
    const weight = q === undefined ? 1 : Number(/^[01](\.\d{0,3})?$/.exec(q)?.[0] ?? 0)
    // x-gzip is the same (RFC 9110 8.4.1.3).
    if (name !== '') found.set(name === 'x-gzip' ? 'gzip' : name, Math.min(weight, 1))
  }
  return found
}
