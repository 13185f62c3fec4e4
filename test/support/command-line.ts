import { spawn } from 'node:child_process'
import { resolve as resolvePath } from 'node:path'

export interface Ended {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

export interface RunOptions {
  /** Below src/. */
  readonly script?: string
  /** Besides PATH; nothing else is handed on. */
  readonly env?: Readonly<Record<string, string>>
  readonly nodeOptions?: readonly string[]
  /** Ctrl-C, once this has been printed. */
  readonly interruptAfter?: RegExp
}

/** Runs the command line to its end. */
export function dimsegate(args: readonly string[], options: RunOptions = {}): Promise<Ended> {
  const { script = 'main.ts', env = {}, nodeOptions = [], interruptAfter } = options
  const file = resolvePath(import.meta.dirname, '../../src', script)
  const child = spawn(process.execPath, [...nodeOptions, file, ...args], { env: { PATH: process.env['PATH'], ...env } })
  let [stdout, stderr] = ['', '']
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text
    if (interruptAfter?.test(stdout)) child.kill('SIGINT')
  })
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text))
  return new Promise((resolve) => child.once('close', (code) => resolve({ code, stdout, stderr })))
}
