import { lookUp, type Lut } from './lut.ts'

export type WindowFunction = 'linear' | 'linear-exact' | 'sigmoid'

/** A window of PS3.3 C.11.2.1.2. */
export interface Window {
  readonly kind: 'window'
  readonly center: number
  readonly width: number
  readonly function: WindowFunction
}

/** How values become shades (PS3.3 C.11.2): by a window, by a table, or from the least to the greatest that occurs. */
export type Voi = Window | { readonly kind: 'lut'; readonly lut: Lut } | { readonly kind: 'range' }

/** The least and the greatest value of a frame. */
export interface Range {
  readonly least: number
  readonly most: number
}

/** The function that makes of a value a fraction of white, 0 to 1. */
export function windowed(voi: Voi, { least, most }: Range): (value: number) => number {
  switch (voi.kind) {
    case 'lut': {
      const white = 2 ** voi.lut.bits - 1
      // Entries may have more bits than the table says.
      return (value) => bounded(lookUp(voi.lut, value) / white)
    }
    case 'range': {
      const width = most - least
      return width > 0 ? (value) => bounded((value - least) / width) : () => (most > 0 ? 1 : 0)
    }
    case 'window':
      return windowFunction(voi)
  }
}

function windowFunction({ center, width, function: kind }: Window): (value: number) => number {
  switch (kind) {
    case 'linear': {
      const half = (width - 1) / 2
      const middle = center - 0.5
      // A window of width 1 is a step (PS3.3 C.11.2.1.2.1).
      return (value) => (value <= middle - half ? 0 : value > middle + half ? 1 : (value - middle) / (width - 1) + 0.5)
    }
    case 'linear-exact':
      return (value) =>
        value <= center - width / 2 ? 0 : value > center + width / 2 ? 1 : (value - center) / width + 0.5
    case 'sigmoid':
      return (value) => 1 / (1 + Math.exp((-4 * (value - center)) / width))
  }
}

function bounded(fraction: number): number {
  return Math.min(Math.max(fraction, 0), 1)
}
