import type { CachedInstance } from '../../cache/cached-instance.ts'
import { passedOn, type Instances } from '../instances.ts'
import type { Trail } from './trail.ts'

/** The cache, whose instances leave their mark in the trail of a request. */
export function noting(cache: Instances, trail: Trail): Instances {
  return {
    ...passedOn(cache),
    retrieve: (...args) => noted(cache.retrieve(...args), trail),
    instance: async (...args) => {
      const instance = await cache.instance(...args)
      trail.note(instance)
      return instance
    },
  }
}

async function* noted(instances: AsyncIterable<CachedInstance>, trail: Trail): AsyncGenerator<CachedInstance> {
  for await (const instance of instances) {
    trail.note(instance)
    yield instance
  }
}
