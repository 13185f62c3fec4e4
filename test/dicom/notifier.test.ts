import { expect, test } from 'vitest'
import { Notifier } from '../../src/dicom/notifier.ts'

test('a change wakes all who wait, once', async () => {
  const notifier = new Notifier()
  const woken: string[] = []
  const waits = ['a', 'b'].map(async (name) => {
    await notifier.changed
    woken.push(name)
  })
  notifier.notify()
  await Promise.all(waits)
  expect(woken).toEqual(['a', 'b'])
})

test('a change before anybody waits wakes nobody later', async () => {
  const notifier = new Notifier()
  notifier.notify()
  let woken = false
  void notifier.changed.then(() => (woken = true))
  await new Promise(setImmediate)
  expect(woken).toBe(false)
  notifier.notify()
  await new Promise(setImmediate)
  expect(woken).toBe(true)
})
