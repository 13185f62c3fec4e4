import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { placePicture, RegionOutsideError, WHOLE, type Viewport } from '../../../src/imaging/picture/place-picture.ts'

const whole: Viewport = { ...WHOLE, width: 1, height: 1 }

function sizeOf(columns: number, rows: number, viewport: Partial<Viewport>): [number, number] {
  const { width, height } = placePicture(columns, rows, { ...whole, ...viewport })
  return [width, height]
}

describe('a picture in its place', () => {
  it('is the image as it is where there is no viewport', () => {
    expect(placePicture(512, 256, undefined)).toEqual({
      region: { left: 0, top: 0, width: 512, height: 256 },
      flipHorizontally: false,
      flipVertically: false,
      width: 512,
      height: 256,
    })
  })

  it.each([
    { columns: 512, rows: 256, width: 100, height: 100, fits: [100, 50] },
    { columns: 256, rows: 512, width: 100, height: 100, fits: [50, 100] },
    { columns: 512, rows: 512, width: 100, height: 40, fits: [40, 40] },
    { columns: 4, rows: 2, width: 100, height: 100, fits: [100, 50] },
    { columns: 10, rows: 10, width: 10, height: 10, fits: [10, 10] },
    { columns: 1000, rows: 1, width: 10, height: 10, fits: [10, 1] },
    { columns: 1, rows: 1000, width: 10, height: 10, fits: [1, 10] },
  ])('of $columns by $rows fits into $width by $height', ({ columns, rows, width, height, fits }) => {
    expect(sizeOf(columns, rows, { width, height })).toEqual(fits)
  })

  it('shows a region, which keeps its own aspect ratio', () => {
    const viewport = { ...whole, width: 100, height: 100, left: 10, top: 20, regionWidth: 40, regionHeight: 20 }
    expect(placePicture(100, 100, viewport)).toEqual({
      region: { left: 10, top: 20, width: 40, height: 20 },
      flipHorizontally: false,
      flipVertically: false,
      width: 100,
      height: 50,
    })
  })

  it('shows all from a corner on where the region has no size', () => {
    const { region } = placePicture(100, 50, { ...whole, left: 90, top: 30 })
    expect(region).toEqual({ left: 90, top: 30, width: 10, height: 20 })
  })

  it('keeps the flips', () => {
    expect(placePicture(9, 9, { ...whole, flipHorizontally: true })).toMatchObject({
      flipHorizontally: true,
      flipVertically: false,
    })
    expect(placePicture(9, 9, { ...whole, flipVertically: true })).toMatchObject({
      flipHorizontally: false,
      flipVertically: true,
    })
  })

  it.each([
    { left: 100 },
    { top: 50 },
    { left: 1, regionWidth: 100 },
    { top: 1, regionHeight: 50 },
    { regionWidth: 101 },
    { regionHeight: 51 },
    { left: 999_999 },
  ])('is none where its region is outside of the image: %j', (region) => {
    const place = (): unknown => placePicture(100, 50, { ...whole, ...region })
    expect(place).toThrow(RegionOutsideError)
    expect(place).toThrow(expect.objectContaining({ code: 'REGION_OUTSIDE' }))
  })

  it('may have a region up to the very end of the image', () => {
    const { region } = placePicture(100, 50, { ...whole, left: 60, top: 20, regionWidth: 40, regionHeight: 30 })
    expect(region).toEqual({ left: 60, top: 20, width: 40, height: 30 })
  })

  it('is within the image, and within the viewport, and has pixels, whatever its size', () => {
    const side = fc.integer({ min: 1, max: 5000 })
    const part = fc.double({ min: 0, max: 1, noNaN: true })
    fc.assert(
      fc.property(side, side, side, side, part, part, part, part, (columns, rows, width, height, x, y, w, h) => {
        const left = Math.floor(x * (columns - 1))
        const top = Math.floor(y * (rows - 1))
        const regionWidth = 1 + Math.floor(w * (columns - left - 1))
        const regionHeight = 1 + Math.floor(h * (rows - top - 1))
        const placed = placePicture(columns, rows, { ...whole, width, height, left, top, regionWidth, regionHeight })
        expect(placed.region).toEqual({ left, top, width: regionWidth, height: regionHeight })
        expect(placed.width).toBeGreaterThanOrEqual(1)
        expect(placed.height).toBeGreaterThanOrEqual(1)
        expect(placed.width).toBeLessThanOrEqual(width)
        expect(placed.height).toBeLessThanOrEqual(height)
        expect(placed.width === width || placed.height === height).toBe(true)
      }),
    )
  })

  it('may have a region of fractions of pixels that ends where the image ends', () => {
    const half = { ...whole, left: 0.5, top: 0.5 }
    for (const viewport of [half, { ...half, regionWidth: 99.5, regionHeight: 49.5 }]) {
      const { region } = placePicture(100, 50, viewport)
      expect(region.left + region.width).toBe(100)
      expect(region.top + region.height).toBe(50)
    }
  })
})
