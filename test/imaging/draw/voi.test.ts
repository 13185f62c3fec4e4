import { describe, expect, it } from 'vitest'
import { windowed, type Voi, type WindowFunction } from '../../../src/imaging/draw/voi.ts'

const range = { least: 0, most: 100 }
const window = (center: number, width: number, kind: WindowFunction): ((value: number) => number) =>
  windowed({ kind: 'window', center, width, function: kind }, range)

describe('a linear window (PS3.3 C.11.2.1.2.1)', () => {
  // The example of the standard: from 0 to 4095 with 2048 and 4096, and 8 bits with 128 and 256.
  it.each([
    [
      2048,
      4096,
      [
        [-1, 0, 0],
        [0, 0, 0],
        [4095, 1, 1],
        [4096, 1, 1],
      ],
    ],
    [
      128,
      256,
      [
        [0, 0, 0],
        [1, 1 / 255, 1 / 255],
        [254, 254 / 255, 254 / 255],
        [255, 1, 1],
      ],
    ],
    [
      1024,
      2048,
      [
        [0, 0, 0],
        [2047, 1, 1],
        [1023.5, 0.5, 0.5],
        [2048, 1, 1],
      ],
    ],
    [
      40,
      400,
      [
        [-160, 0, 0],
        [-159, 1 / 399, 1 / 399],
        [239, 1, 1],
        [240, 1, 1],
      ],
    ],
    // Width 2: below, between, above.
    [
      10,
      2,
      [
        [9, 0, 0],
        [9.25, 0.25, 0.25],
        [9.5, 0.5, 0.5],
        [10, 1, 1],
      ],
    ],
  ])('with center %f and width %f', (center, width, points) => {
    const fraction = window(center, width, 'linear')
    for (const [value, expected] of points) expect(fraction(value!), `${value}`).toBeCloseTo(expected!, 12)
  })

  it('of width 1 is a step at half a value below its center', () => {
    const fraction = window(10, 1, 'linear')
    expect([8, 9, 9.5, 9.6, 10, 11].map(fraction)).toEqual([0, 0, 0, 1, 1, 1])
  })
})

describe('an exactly linear window (PS3.3 C.11.2.1.2.3)', () => {
  it.each([
    [
      128,
      256,
      [
        [0, 0],
        [1, 1 / 256],
        [128, 0.5],
        [255, 255 / 256],
        [256, 1],
        [257, 1],
      ],
    ],
    [
      0.5,
      1,
      [
        [0, 0],
        [0.25, 0.25],
        [0.5, 0.5],
        [1, 1],
      ],
    ],
    // Less than 1 is allowed here.
    [
      0,
      0.1,
      [
        [-0.05, 0],
        [-0.025, 0.25],
        [0, 0.5],
        [0.05, 1],
        [1, 1],
      ],
    ],
  ])('with center %f and width %f', (center, width, points) => {
    const fraction = window(center, width, 'linear-exact')
    for (const [value, expected] of points) expect(fraction(value!), `${value}`).toBeCloseTo(expected!, 12)
  })
})

describe('a sigmoid (PS3.3 C.11.2.1.2.2)', () => {
  it.each([
    [100, 50, 100, 0.5],
    [100, 50, 125, 1 / (1 + Math.exp(-2))],
    [100, 50, 75, 1 / (1 + Math.exp(2))],
    [100, 50, -1e6, 0],
    [100, 50, 1e6, 1],
  ])('with center %f and width %f takes %f to %f', (center, width, value, expected) => {
    expect(window(center, width, 'sigmoid')(value)).toBeCloseTo(expected, 12)
  })
})

describe('a table of values of interest', () => {
  it('gives fractions of the greatest value of its bits', () => {
    const voi: Voi = { kind: 'lut', lut: { first: -1, bits: 12, entries: Uint16Array.of(0, 4095, 2047) } }
    const fraction = windowed(voi, range)
    expect([-5, -1, 0, 1, 5].map(fraction)).toEqual([0, 0, 1, 2047 / 4095, 2047 / 4095])
  })

  it('with an entry of more bits than it says has white there', () => {
    const voi: Voi = { kind: 'lut', lut: { first: 0, bits: 8, entries: Uint16Array.of(0, 255, 300, 510) } }
    expect([0, 1, 2, 3].map(windowed(voi, range))).toEqual([0, 1, 1, 1])
  })
})

describe('a picture of which nothing is said', () => {
  it('has its least value black and its greatest white', () => {
    const fraction = windowed({ kind: 'range' }, { least: -100, most: 300 })
    expect([-200, -100, 0, 100, 300, 400].map(fraction)).toEqual([0, 0, 0.25, 0.5, 1, 1])
  })

  it('that has one value only is black if that is 0', () => {
    expect(windowed({ kind: 'range' }, { least: 0, most: 0 })(0)).toBe(0)
    expect(windowed({ kind: 'range' }, { least: 5, most: 5 })(5)).toBe(1)
  })
})
