import type { InstanceUids } from '../../instance/uids.ts'
import type { Archive } from '../../pacs/archive.ts'
import type { HttpEnv } from '../context.ts'

/** What holds, or has told, what archives have. */
export type Holders = Pick<HttpEnv['Variables'], 'cache' | 'given' | 'federation' | 'prefetcher'>

/** What was given of an instance, and is held, is not what there is any more: an archive has it anew. */
export function outdate(
  { cache, given, federation, prefetcher }: Holders,
  archive: Archive,
  instance: InstanceUids,
): void {
  cache.forget(archive, instance)
  given.stored(archive.config.name, instance.study)
  // Nor what others hold of it is to be given in its place.
  for (const one of federation?.archives ?? []) cache.forget(one, instance)
  federation?.copies.forget(instance.study)
  prefetcher?.forget(archive, instance.study)
}
