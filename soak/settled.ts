import { setTimeout as delay } from 'node:timers/promises'
import { MAX_HEADS_BYTES } from '../src/cache/head-store.ts'
import type { SoakArchive } from './archives.ts'
import type { Holdings, SoakGateway } from './gateway.ts'

/** How long what is held may take to be given back: idle associations, what is kept, connections that are cut. */
const SETTLE_MS = 60_000
/** Memory is read so often, a second apart, and the least counts: collection of garbage is not asked for. */
const RSS_READINGS = 5
/**
 * What the process may take more of memory than before the load: heads of instances, which stay until others come, and
 * heap that has grown, code that was compiled, threads.
 */
const RSS_TOLERANCE = MAX_HEADS_BYTES + 128 * 1024 * 1024
/** Besides the connection that asks for the metrics. */
const SOCKET_TOLERANCE = 0
/** Files that are read once in a while. */
const DESCRIPTOR_TOLERANCE = 4

/** What of the gateway is not as it was before; nothing when all has been given back. */
export function notGivenBack(before: Holdings, after: Holdings): string[] {
  const most: Readonly<Record<keyof Holdings, number>> = {
    rss: before.rss + RSS_TOLERANCE,
    // Told only: they tell what RSS is made of.
    heapUsed: Infinity,
    external: Infinity,
    sockets: before.sockets + SOCKET_TOLERANCE,
    descriptors: before.descriptors + DESCRIPTOR_TOLERANCE,
    associations: 0,
    leased: 0,
    waiting: 0,
    frames: 0,
    cacheBytes: 0,
  }
  return (Object.keys(most) as (keyof Holdings)[])
    .filter((name) => after[name] > most[name])
    .map((name) => `${name}: ${after[name]}, at most ${most[name]}`)
}

/** Waits until nothing is in use, or in vain; clients have to be gone. */
export async function settled(gateway: SoakGateway, before?: Holdings): Promise<Holdings> {
  const until = performance.now() + SETTLE_MS
  let now = await gateway.holdings()
  // Without a base of its own it cannot tell what is too much memory, nor which sockets stay.
  while (notGivenBack(before ?? now, now).length > 0 && performance.now() < until) {
    await delay(500)
    now = await gateway.holdings()
  }
  let { rss } = now
  for (let n = 0; n < RSS_READINGS; n++) {
    await delay(1000)
    rss = Math.min(rss, (await gateway.rss()) ?? Infinity)
  }
  // As it was when all was given back: a connection that asks for the metrics may be another a moment later.
  return { ...now, rss }
}

/** Connections that are open to archives, by archive; those of nobody are a leak. */
export function openConnections(archives: readonly SoakArchive[]): string[] {
  return archives
    .filter(({ link }) => link.connections > 0)
    .map(({ name, link }) => `${link.connections} connections to ${name} are open`)
}
