import { readFileSync } from 'node:fs'

/** States of Linux' include/net/tcp_states.h in which a connection is open, at one end or both. */
const OPEN = new Set(['01', '02', '03', '04', '05', '08'])

/** TCP connections of this machine to a port of its own that are open; undefined where there is no /proc/net/tcp. */
export function connectionsTo(port: number): number | undefined {
  if (process.platform !== 'linux') return undefined
  const lines = ['/proc/net/tcp', '/proc/net/tcp6'].flatMap(readLines)
  return lines.filter((line) => {
    const [, , remote = '', state = ''] = line.trim().split(/\s+/)
    return parseInt(remote.split(':')[1] ?? '', 16) === port && OPEN.has(state)
  }).length
}

function readLines(path: string): string[] {
  try {
    return readFileSync(path, 'latin1').split('\n').slice(1)
  } catch {
    return [] // No IPv6 here.
  }
}
