/** The viewport of a request (PS3.18 8.3.5.1.3): the size of the picture, and the region of the image shown in it. */
export interface Viewport {
  readonly width: number
  readonly height: number
  readonly left: number
  readonly top: number
  /** undefined: to the right and the lower edge of the image. */
  readonly regionWidth: number | undefined
  readonly regionHeight: number | undefined
  readonly flipHorizontally: boolean
  readonly flipVertically: boolean
}

/** The whole image, not flipped, for a viewport of any size. */
export const WHOLE: Omit<Viewport, 'width' | 'height'> = {
  left: 0,
  top: 0,
  regionWidth: undefined,
  regionHeight: undefined,
  flipHorizontally: false,
  flipVertically: false,
}

/** The region that is cut out of an image, and the size it is scaled to, in whole pixels. */
export interface Placement {
  readonly region: { readonly left: number; readonly top: number; readonly width: number; readonly height: number }
  readonly flipHorizontally: boolean
  readonly flipVertically: boolean
  readonly width: number
  readonly height: number
}

/** The region is not within the image. */
export class RegionOutsideError extends Error {
  readonly code = 'REGION_OUTSIDE'
  constructor(columns: number, rows: number) {
    super(`The region is not within the image, which has ${columns} columns and ${rows} rows`)
    this.name = 'RegionOutsideError'
  }
}

/**
 * Fits a region of an image into a viewport, its aspect ratio kept (PS3.18 8.3.5.1.3); without a viewport the image as
 * it is.
 * @throws RegionOutsideError
 */
export function placePicture(columns: number, rows: number, viewport: Viewport | undefined): Placement {
  const whole = { left: 0, top: 0, width: columns, height: rows }
  if (!viewport) {
    return { region: whole, flipHorizontally: false, flipVertically: false, width: columns, height: rows }
  }
  const left = Math.round(viewport.left)
  const top = Math.round(viewport.top)
  // Edges are rounded, not sizes: a region up to the edge of the image stays up to the edge.
  const width = Math.max(1, Math.round(viewport.left + (viewport.regionWidth ?? columns - viewport.left)) - left)
  const height = Math.max(1, Math.round(viewport.top + (viewport.regionHeight ?? rows - viewport.top)) - top)
  if (left + width > columns || top + height > rows) throw new RegionOutsideError(columns, rows)
  const scale = Math.min(viewport.width / width, viewport.height / height)
  return {
    region: { left, top, width, height },
    flipHorizontally: viewport.flipHorizontally,
    flipVertically: viewport.flipVertically,
    width: Math.max(1, Math.round(width * scale)),
    height: Math.max(1, Math.round(height * scale)),
  }
}
