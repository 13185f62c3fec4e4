import fc from 'fast-check'
import { expect, test } from 'vitest'
import { asGiven } from '../../src/dicom/as-given.ts'
import { CharacterSet } from '../../src/dicom/charset.ts'
import { decodeValues, InvalidValueError } from '../../src/dicom/value.ts'

test('values that were read are written as the bytes that they were read from', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
      const values = decodeValues('UI', bytes, CharacterSet.of([]))
      const written = asGiven('UI', values)
      expect(written.length % 2).toBe(0)
      expect(decodeValues('UI', written, CharacterSet.of([]))).toEqual(values)
    }),
  )
  expect([...asGiven('UI', ['1\xe4', '2'])]).toEqual([0x31, 0xe4, 0x5c, 0x32])
})

test('text that was never read from bytes is not cut down to some', () => {
  expect(() => asGiven('UI', ['1.\u5c71'])).toThrow(InvalidValueError)
})
