import type { Config } from '../../config/config.ts'
import { isAlive } from '../../network/sign-of-life.ts'
import { SpoolCommandError, type Done, type ListedEntry, type SpoolDesk } from './desk.ts'
import { DeskClient } from './desk-client.ts'
import { SpoolFolderError, socketOf } from './lock.ts'
import { Spool } from './spool.ts'

/** `list`, `retry ID…` and `drop ID…`, in the service that runs, or else in its folder. `all` are those that are given up. @throws SpoolCommandError */
export async function spoolCommand(
  config: Pick<Config, 'spool' | 'archives' | 'destinations'>,
  [action = 'list', ...ids]: readonly string[],
  print: (text: string) => void,
): Promise<void> {
  if (!config.spool) throw new SpoolCommandError('The configuration has no spool: write spool.dir and spool.key.')
  if (action !== 'list' && action !== 'retry' && action !== 'drop') {
    throw new SpoolCommandError(`spool ${action} is unknown; expected list, retry or drop.`)
  }
  await using desk = await deskOf(config.spool)
  if (action === 'list') {
    if (ids.length > 0) throw new SpoolCommandError('spool list takes no ids.')
    await list(desk, config, print)
    return
  }
  if (ids.length === 0) throw new SpoolCommandError(`spool ${action} needs ids as spool list prints them, or all.`)
  if (ids.includes('all') && ids.length > 1) throw new SpoolCommandError('all stands alone: it is what is given up.')
  const meant = ids.includes('all') ? 'all' : ids
  report(await desk[action](meant), action, print)
}

function report({ done, unknown, failure }: Done, action: 'retry' | 'drop', print: (text: string) => void): void {
  print(`${done} ${action === 'drop' ? 'dropped' : 'to be tried again'}.\n`)
  if (failure !== undefined) throw new SpoolCommandError(`${failure}; the rest was left as it was.`)
  if (unknown.length > 0) throw new SpoolCommandError(`The spool has no ${unknown.join(', ')}.`)
}

async function list(
  desk: SpoolDesk,
  { archives, destinations }: Pick<Config, 'archives' | 'destinations'>,
  print: (text: string) => void,
): Promise<void> {
  const known = new Set([...archives, ...destinations].map(({ name }) => name))
  let count = 0
  for await (const entry of desk.list()) {
    print(lineOf(entry, known.has(entry.destination)))
    count++
  }
  if (count === 0) print('The spool is empty.\n')
}

/** The service that has the folder, or the folder itself. */
async function deskOf(spool: NonNullable<Config['spool']>): Promise<SpoolDesk> {
  try {
    const socket = socketOf(spool.dir)
    if ((await isAlive(socket)) === true) return new DeskClient(socket)
    return await Spool.open(spool, { targets: new Map(), told: () => undefined, isBlocked: () => false })
  } catch (error) {
    throw error instanceof SpoolFolderError ? new SpoolCommandError(`${error.message}.`) : error
  }
}

function lineOf({ id, destination, since, bytes, tries, isGivenUp, reason }: ListedEntry, isKnown: boolean): string {
  const why = reason === undefined ? '' : `: ${reason}`
  const state = isGivenUp ? `given up${why}` : isKnown ? `waiting${why}` : 'waiting: not in the configuration'
  return [id, destination, since, `${bytes} bytes`, `${tries} tries`, state].join('  ') + '\n'
}
