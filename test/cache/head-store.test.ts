import { describe, expect, it } from 'vitest'
import { Attribute } from '../../src/dicom/attributes.ts'
import { Dataset } from '../../src/dicom/dataset.ts'
import { GrowingIndex, type InstanceIndex } from '../../src/instance/instance-index.ts'
import { HeadStore } from '../../src/cache/head-store.ts'

const MIB = 1024 * 1024
const head = (modality: string): Dataset => new Dataset().set(Attribute.Modality, modality)

/** Of an instance whose head has so many bytes. */
function indexOf(headBytes: number): InstanceIndex {
  const index = new GrowingIndex()
  index.headBytes = headBytes
  return index
}

describe('the head of an instance', () => {
  it('is read once, also for who asks while it is read', async () => {
    const store = new HeadStore()
    const index = indexOf(100)
    let reads = 0
    const read = async (): Promise<Dataset> => {
      reads++
      await new Promise(setImmediate)
      return head('CT')
    }
    const all = await Promise.all([1, 2, 3].map(() => store.of(index, read)))
    expect(all.map((one) => one.string(Attribute.Modality))).toEqual(['CT', 'CT', 'CT'])
    await store.of(index, read)
    expect(reads).toBe(1)
  })

  it('is read by others themselves where who read it failed', async () => {
    const store = new HeadStore()
    const index = indexOf(100)
    const gone = new Error('gone')
    const first = store.of(index, () => Promise.reject(gone))
    const second = store.of(index, async () => head('MR'))
    await expect(first).rejects.toBe(gone)
    const kept = await second
    expect(await store.of(index, () => Promise.reject(gone))).toBe(kept)
  })

  it('is let go when others take the room that there is', async () => {
    const store = new HeadStore(4 * MIB)
    const [first, second, third] = [indexOf(MIB / 8), indexOf(MIB / 8), indexOf(MIB / 8)]
    let reads = 0
    const read = async (): Promise<Dataset> => head(String(++reads))
    for (const index of [first, second, third]) await store.of(index, read)
    for (const index of [third, second]) await store.of(index, read)
    expect(reads).toBe(3)
    await store.of(first, read)
    expect(reads).toBe(4)
  })

  it('is kept alone where it is larger than all the room', async () => {
    const store = new HeadStore(4 * MIB)
    const [small, large] = [indexOf(1), indexOf(100 * MIB)]
    let reads = 0
    const read = async (): Promise<Dataset> => head(String(++reads))
    await store.of(small, read)
    await store.of(large, read)
    await store.of(large, read)
    expect(reads).toBe(2)
    await store.of(small, read)
    expect(reads).toBe(3)
  })
})
