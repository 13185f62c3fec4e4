import { vi } from 'vitest'

/** Resolves when an assertion holds; fails with it when it does not in good time. */
export function eventually(assertion: () => void | Promise<void>, timeout = 8_000): Promise<void> {
  return vi.waitFor(assertion, { timeout, interval: 5 })
}
