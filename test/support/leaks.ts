import { getActiveResourcesInfo } from 'node:process'
import { setTimeout as delay } from 'node:timers/promises'
import { afterEach, beforeEach, expect } from 'vitest'

/** What a test must give back. Timers that are unref'd are not counted by Node, nor are they a leak for long. */
const WATCHED = ['TCPSocketWrap', 'TCPServerWrap', 'TLSWrap', 'PipeWrap', 'Timeout', 'ProcessWrap']
/** Sockets take a few turns of the event loop to close. */
const SETTLE_MS = 3_000

/** Fails each test of the file that leaves a socket, a server, a process or a timer behind. Call at the top of the file. */
export function failOnLeaks(): void {
  let before: Map<string, number>
  beforeEach(() => {
    before = resources()
  })
  afterEach(async () => {
    await settled(before)
    expect(leaked(before), 'left behind by the test').toEqual([])
  })
}

/** Resolves when nothing is left over what there was, or after a while. */
async function settled(before: ReadonlyMap<string, number>): Promise<void> {
  const until = Date.now() + SETTLE_MS
  await new Promise(setImmediate)
  while (leaked(before).length > 0 && Date.now() < until) await delay(2)
}

function leaked(before: ReadonlyMap<string, number>): string[] {
  const now = resources()
  return WATCHED.flatMap((type) => {
    const more = (now.get(type) ?? 0) - (before.get(type) ?? 0)
    return more > 0 ? [`${more} × ${type}`] : []
  })
}

function resources(): Map<string, number> {
  const counts = new Map<string, number>()
  for (const type of getActiveResourcesInfo()) counts.set(type, (counts.get(type) ?? 0) + 1)
  return counts
}
