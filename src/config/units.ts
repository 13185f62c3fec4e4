const MILLISECONDS = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const

const BYTES = {
  B: 1,
  kB: 1000,
  KB: 1000,
  MB: 1000 ** 2,
  GB: 1000 ** 3,
  TB: 1000 ** 4,
  KiB: 1024,
  MiB: 1024 ** 2,
  GiB: 1024 ** 3,
  TiB: 1024 ** 4,
} as const

/** A number and a unit: `250ms`, `10s`, `1.5m`, `2h`, `1d`. */
export const durationPattern = /^(\d+(?:\.\d+)?) ?(ms|s|m|h|d)$/

/** A number and a unit: `512MiB`, `4 GiB`, `10MB`; KiB is 1024 bytes, kB is 1000. */
export const byteSizePattern = /^(\d+(?:\.\d+)?) ?(B|[kKMGT]B|[KMGT]iB)$/

/** Milliseconds, rounded to a whole one; undefined when `text` is not a duration. */
export function parseDuration(text: string): number | undefined {
  const amount = measure(durationPattern, MILLISECONDS, text)
  return amount === undefined ? undefined : Math.round(amount)
}

/** Bytes; undefined when `text` is not a byte size, or not a whole number of bytes that a number can hold exactly. */
export function parseBytes(text: string): number | undefined {
  const amount = measure(byteSizePattern, BYTES, text)
  return Number.isSafeInteger(amount) ? amount : undefined
}

function measure(pattern: RegExp, units: Readonly<Record<string, number>>, text: string): number | undefined {
  const [, amount, unit] = pattern.exec(text) ?? []
  if (amount === undefined || unit === undefined) return undefined
  const factor = units[unit]
  return factor === undefined ? undefined : Number(amount) * factor
}
