import type { CachedInstance } from '../../cache/cached-instance.ts'
import { passedOn, type Instances } from '../instances.ts'
import type { Trail } from './trail.ts'

/** The cache, whose instances leave their mark in the trail of a request, where it has one. */
export function noting(cache: Instances, trail: Trail | undefined): Instances {
  if (!trail) return cache
  return {
    ...passedOn(cache),
    retrieve: (...args) => noted(cache, cache.retrieve(...args), trail),
    instance: async (...args) => {
      const instance = await cache.instance(...args)
      trail.note(instance, { archive: cache.archiveOf?.(instance) })
      return instance
    },
  }
}

async function* noted(
  cache: Instances,
  instances: AsyncIterable<CachedInstance>,
  trail: Trail,
): AsyncGenerator<CachedInstance> {
  for await (const instance of instances) {
    trail.note(instance, { archive: cache.archiveOf?.(instance) })
    yield instance
  }
}
