import { afterEach } from 'vitest'

/**
 * What keeps things for a test, and disposes of them when it is over, the last first. To be called once in a file, after
 * `failOnLeaks`; what the file does after each test itself comes before.
 */
export function keeper(): <T extends AsyncDisposable>(one: T) => T {
  const opened: AsyncDisposable[] = []
  afterEach(async () => {
    for (const one of opened.splice(0).reverse()) await one[Symbol.asyncDispose]()
  })
  return (one) => {
    opened.push(one)
    return one
  }
}
