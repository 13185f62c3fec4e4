import { afterAll, beforeAll } from 'vitest'
import { startValkey, type RunningValkey } from './valkey.ts'

/** One for all tests of a suite. */
export function sharedValkey(): () => RunningValkey {
  let running: RunningValkey | undefined
  beforeAll(async () => {
    running = await startValkey()
  })
  afterAll(() => running?.[Symbol.asyncDispose]())
  return () => running!
}
