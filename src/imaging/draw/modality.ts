import { lookUp, type Lut } from './lut.ts'

/** The modality transformation (PS3.3 C.11.1): stored values to what was measured. */
export type Modality =
  | { readonly kind: 'rescale'; readonly slope: number; readonly intercept: number }
  | { readonly kind: 'lut'; readonly lut: Lut }

/** What was measured, of a stored value. */
export function measurement(modality: Modality): (stored: number) => number {
  if (modality.kind === 'lut') return (stored) => lookUp(modality.lut, stored)
  const { slope, intercept } = modality
  return (stored) => stored * slope + intercept
}
