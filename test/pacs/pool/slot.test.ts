import { expect, test } from 'vitest'
import type { Association } from '../../../src/network/association.ts'
import { Holder, Slots, type SlotState } from '../../../src/pacs/pool/slot.ts'

const { signal } = new AbortController()
const holder = new Holder({ signal, priority: 'bulk' })
const standing = { association: Object.create(null) as Association, proposal: { contexts: [] }, key: 'key' }

const states = (): Record<SlotState['kind'], SlotState> => ({
  opening: { kind: 'opening', holder },
  leased: { kind: 'leased', holder, standing, reused: false },
  idle: { kind: 'idle', standing, timer: setTimeout(() => undefined) },
  closing: { kind: 'closing', stood: true, gone: Promise.resolve() },
  reserved: { kind: 'reserved', holder },
})

test('a place is counted in its state, and among transfers while one of them has it', () => {
  const slots = new Slots()
  const slot = slots.add({ kind: 'opening', holder })
  expect([slots.size, slots.count('opening'), slots.transferCount]).toEqual([1, 1, 1])
  slots.move(slot, states().leased)
  expect([slots.count('opening'), slots.count('leased'), slots.transferCount]).toEqual([0, 1, 1])
  slots.move(slot, states().idle)
  expect([slots.count('idle'), slots.transferCount]).toEqual([1, 0])
  slots.move(slot, states().closing)
  slots.drop(slot)
  expect(slots.size).toBe(0)
})

test.each([
  ['opening', 'idle'],
  ['opening', 'reserved'],
  ['reserved', 'leased'],
  ['reserved', 'closing'],
] as const)('a place that is %s cannot be %s', (from, to) => {
  const slots = new Slots()
  const slot = slots.add(from === 'opening' ? { kind: 'opening', holder } : { kind: 'reserved', holder })
  expect(() => slots.move(slot, states()[to])).toThrow(`A place that is ${from} cannot be ${to}`)
})

test('a place in use cannot be dropped, and none can be dropped twice', () => {
  const slots = new Slots()
  const slot = slots.add({ kind: 'opening', holder })
  slots.move(slot, states().leased)
  expect(() => slots.drop(slot)).toThrow('leased')
  slots.move(slot, states().closing)
  slots.drop(slot)
  expect(() => slots.drop(slot)).toThrow('closing')
})

test('an archive has not taken what it refused', () => {
  const slots = new Slots()
  const [slot, other, refused] = [1, 2, 3].map(() => slots.add({ kind: 'opening', holder }))
  slots.move(other!, states().leased)
  slots.move(refused!, { kind: 'closing', stood: false, gone: Promise.resolve() })
  expect(slots.besides(slot!)).toBe(1)
})
