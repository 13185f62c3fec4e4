import type { InstanceCache } from '../cache/instance-cache.ts'

/** What handlers do with the cache. */
export type Instances = Pick<InstanceCache, 'retrieve' | 'instance' | 'forget' | 'arrivalOf' | 'held' | 'confirm'>

/** What fetches nothing, for who stands between. */
export function passedOn(cache: Instances): Omit<Instances, 'retrieve' | 'instance'> {
  return {
    forget: (...args) => cache.forget(...args),
    arrivalOf: (...args) => cache.arrivalOf(...args),
    held: (...args) => cache.held(...args),
    confirm: (...args) => cache.confirm(...args),
  }
}
