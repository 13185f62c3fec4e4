import { describe, expect, it } from 'vitest'
import { newApiKey } from '../../../src/http/auth/api-keys.ts'
import { blanked, MAX_BLANKED } from '../../../src/http/audit/blanked.ts'

const JWT = 'eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ4In0.c2ln-bmF0_dXJl'

describe('what a client wrote', () => {
  it.each([
    ['access_token=secret', 'access_token=***'],
    ['PatientID=1&token=secret&limit=5', 'PatientID=1&token=***&limit=5'],
    ['Access%5FToken=secret', 'Access%5FToken=***'],
    ['api-key=secret=secret', 'api-key=***'],
    [`x=Bearer%20${JWT}&y=1`, 'x=Bearer%20***&y=1'],
    [`x=${JWT.replaceAll('.', '%2E')}`, 'x=***'],
    [`x=${JWT}.four.five`, 'x=***'],
    [`/dicomweb/${JWT}/studies`, '/dicomweb/***/studies'],
    [`x=${newApiKey().key}`, 'x=***'],
    ['%=1&token=secret', '%=1&token=***'],
  ])('has no token: %s', (text, expected) => {
    expect(blanked(text)).toBe(expected)
  })

  it.each([
    ['of one word', 'eyJ'.repeat(20_000)],
    ['in many words', 'eyJ%20'.repeat(10_000)],
    ['with dots', 'eyJa.'.repeat(12_000)],
    ['of keys', 'dsg_'.repeat(15_000)],
    ['of parameters', 'token=&'.repeat(9_000)],
  ])('takes no time that others would wait for, however long it is: %s', (_, text) => {
    const since = performance.now()
    const { length } = blanked(text)
    expect(performance.now() - since).toBeLessThan(100)
    expect(length).toBeLessThanOrEqual(2 * MAX_BLANKED)
  })

  it.each(['PatientName=M%C3%BCller*&limit=5', 'PatientID=eyJ.1', 'token', 'StudyInstanceUID=1.2.3,1.2.4', ''])(
    'is otherwise as it was: %s',
    (text) => {
      expect(blanked(text)).toBe(text)
    },
  )
})
