/** Marks an issue between keys, whose message is a whole sentence and not what is expected of one value. */
export const conflict = 'conflict'

/** Where a fault is. */
export type Path = (string | number)[]

/** Keys of a group. */
export type Fields = Readonly<Record<string, unknown>>
/** Tells a fault. */
export type Say = (path: Path, message: string) => void

/** The keys of what may have any shape; none of what is no group. */
export function fields(value: unknown): Fields {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {}
}
