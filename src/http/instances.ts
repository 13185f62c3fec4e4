import type { InstanceCache } from '../cache/instance-cache.ts'

/** What handlers do with the cache. */
export type Instances = Pick<InstanceCache, 'retrieve' | 'instance' | 'forget' | 'holds' | 'held' | 'confirm'>

/** What fetches nothing, for who stands between. */
export function passedOn(cache: Instances): Omit<Instances, 'retrieve' | 'instance'> {
  return {
    forget: (...args) => cache.forget(...args),
    holds: (...args) => cache.holds(...args),
    held: (...args) => cache.held(...args),
    confirm: (...args) => cache.confirm(...args),
  }
}
