import type { CachedInstance } from '../cache/cached-instance.ts'
import type { InstanceCache } from '../cache/instance-cache.ts'
import type { Source } from '../cache/route.ts'

/** What handlers do with the cache. */
export type Instances = Pick<
  InstanceCache,
  'retrieve' | 'instance' | 'forget' | 'arrivalOf' | 'held' | 'confirm' | 'renew'
> & {
  /** The archive that an instance is from, where it need not be the one that was asked. */
  readonly archiveOf?: ((instance: CachedInstance) => Source['config'] | undefined) | undefined
}

/** What fetches nothing, for who stands between. */
export function passedOn(cache: Instances): Omit<Instances, 'retrieve' | 'instance'> {
  return {
    forget: (...args) => cache.forget(...args),
    arrivalOf: (...args) => cache.arrivalOf(...args),
    held: (...args) => cache.held(...args),
    confirm: (...args) => cache.confirm(...args),
    renew: (...args) => cache.renew(...args),
    archiveOf: cache.archiveOf,
  }
}
