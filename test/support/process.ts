import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { connect } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'

export interface RunningProcess extends AsyncDisposable {
  readonly pid: number
  /** The last 64 Ki characters of standard output and error, as they came. */
  log(): string
  /** How it ended, once it has: `exit code 0`, `SIGKILL`. */
  readonly ended: Promise<string>
  /** Sends a signal to the process and what it forked. False if none of them is there. */
  signal(name: NodeJS.Signals): boolean
  /** Ends the process and what it forked: SIGTERM, then SIGKILL. Resolves when they are gone; may be called again. */
  stop(): Promise<void>
}

export interface StartOptions {
  readonly args?: readonly string[]
  readonly env?: Readonly<Record<string, string>>
  /** Ready when every one of these accepts connections. */
  readonly ports: readonly number[]
  /** Milliseconds until all ports must accept; 20,000 unless told. */
  readonly deadline?: number
  /** Milliseconds between SIGTERM and SIGKILL when it is stopped; 3,000 unless told. */
  readonly patience?: number
  /** Is given all it writes, where the end of it in `log` is not enough. */
  readonly onOutput?: (text: string) => void
}

/**
 * Starts a program and waits until it listens. Throws, with the last lines of its output, if it ends before that or
 * takes longer than the deadline; nothing is left running then.
 */
export async function startProcess(program: string, options: StartOptions): Promise<RunningProcess> {
  const { args = [], env = {}, ports, deadline = 20_000, patience = 3000, onOutput } = options
  const command = withParentDeathSignal([program, ...args])
  // A process group of its own: dcmqrscp forks a process per association and does not end them when it is ended.
  const child = spawn(command[0], command.slice(1), {
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...env },
  })
  const tail = new Tail()
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      tail.add(text)
      onOutput?.(text)
    })
  }
  const ended = new Promise<string>((resolve) => {
    child.once('error', (error) => resolve(error.message))
    child.once('exit', (code, signal) => resolve(signal === null ? `exit code ${String(code)}` : signal))
  })
  const { pid } = child
  if (pid === undefined) throw new Error(`Cannot start ${program}: ${await ended}`)

  let stopped: Promise<void> | undefined
  const stop = () => (stopped ??= stopGroup(child, pid, patience))
  const running: RunningProcess = {
    pid,
    ended,
    log: () => tail.text,
    signal: (name) => signal(-pid, name),
    stop,
    [Symbol.asyncDispose]: stop,
  }

  const giveUp = new AbortController()
  const failed = await Promise.race([
    ended.then((how) => `ended before it listened (${how})`),
    Promise.all(ports.map((port) => accepting(port, giveUp.signal))).then(() => undefined),
    delay(deadline, `did not listen on ${ports.join(', ')} within ${deadline} ms`, { signal: giveUp.signal }),
  ])
  giveUp.abort()
  if (failed === undefined) return running
  await stop()
  throw new Error(`${program} ${failed}. Its last output:\n${tail.lastLines(20)}`)
}

/**
 * A test run that is killed cannot stop what it started, and a group of its own does not get the terminal's Ctrl-C. On
 * Linux `setpriv` (util-linux) becomes the program, asking the kernel to end it with the thread that started it.
 */
function withParentDeathSignal(command: readonly [string, ...string[]]): readonly [string, ...string[]] {
  const setpriv = '/usr/bin/setpriv'
  return process.platform === 'linux' && existsSync(setpriv)
    ? [setpriv, '--pdeathsig', 'TERM', '--', ...command]
    : command
}

/** Resolves when the port accepts a connection, or when given up. */
async function accepting(port: number, giveUp: AbortSignal): Promise<void> {
  while (!giveUp.aborted) {
    const open = await new Promise<boolean>((resolve) => {
      const socket = connect({ port, host: '127.0.0.1' })
      const done = (result: boolean) => {
        socket.destroy()
        resolve(result)
      }
      socket.setTimeout(1000, () => done(false))
      socket.once('connect', () => done(true))
      socket.once('error', () => done(false))
    })
    if (open) return
    await delay(10)
  }
}

async function stopGroup(child: ChildProcess, pid: number, patience: number): Promise<void> {
  const steps = [
    ['SIGTERM', patience],
    ['SIGKILL', 2000],
  ] as const
  for (const [name, wait] of steps) {
    signal(-pid, name)
    const until = Date.now() + wait
    while (Date.now() < until) {
      const hasEnded = child.exitCode !== null || child.signalCode !== null
      if (hasEnded && !isGroupAlive(pid)) return
      await delay(5)
    }
  }
}

/**
 * Whether a process of the group still runs. Zombies do not count: what dcmqrscp forked and did not wait for is left to
 * the machine's first process, which may take seconds to reap it.
 */
export function isGroupAlive(group: number): boolean {
  if (!signal(-group, 0)) return false
  if (process.platform !== 'linux') return true
  return readdirSync('/proc').some((name) => {
    if (!/^\d+$/.test(name)) return false
    // proc(5): "pid (comm) state ppid pgrp ..."; comm may hold anything, a parenthesis too.
    const stat = readStat(name)
    const [state, , processGroup] = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    return Number(processGroup) === group && state !== 'Z' && state !== 'X'
  })
}

/** Empty if the process is gone. */
function readStat(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/stat`, 'latin1')
  } catch {
    return ''
  }
}

/** False if there is no such process or group. */
function signal(pid: number, name: NodeJS.Signals | 0): boolean {
  try {
    process.kill(pid, name)
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return false
    throw error
  }
}

class Tail {
  text = ''

  add(text: string): void {
    this.text = (this.text + text).slice(-MAX_LOG)
  }

  lastLines(count: number): string {
    return this.text.trimEnd().split('\n').slice(-count).join('\n')
  }
}

const MAX_LOG = 64 * 1024
