import type { CachedInstance } from '../../cache/cached-instance.ts'
import type { InstanceCache } from '../../cache/instance-cache.ts'
import type { Trail } from './trail.ts'

/** What handlers do with the cache. */
export type Instances = Pick<InstanceCache, 'retrieve' | 'instance' | 'forget' | 'holds' | 'held' | 'confirm'>

/** The cache, whose instances leave their mark in the trail of a request. */
export function noting(cache: InstanceCache, trail: Trail): Instances {
  return {
    retrieve: (...args) => noted(cache.retrieve(...args), trail),
    instance: async (...args) => {
      const instance = await cache.instance(...args)
      trail.note(instance)
      return instance
    },
    forget: (...args) => cache.forget(...args),
    holds: (...args) => cache.holds(...args),
    held: (...args) => cache.held(...args),
    confirm: (...args) => cache.confirm(...args),
  }
}

async function* noted(instances: AsyncIterable<CachedInstance>, trail: Trail): AsyncGenerator<CachedInstance> {
  for await (const instance of instances) {
    trail.note(instance)
    yield instance
  }
}
