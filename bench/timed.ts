import { spawn } from 'node:child_process'

export interface Timed {
  /** From the start of the program to its end. */
  readonly seconds: number
  readonly output: string
}

const DEADLINE_MS = 300_000

/**
 * Runs a program to its end. What it says on standard error is a failure, or part of its output if it is `chatty`.
 * @throws when it fails, or warns: DCMTK's tools end with 0 after many a failure
 */
export async function timed(program: string, args: readonly string[], chatty = false): Promise<Timed> {
  const started = performance.now()
  const child = spawn(program, args, {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, TCP_NODELAY: '1' },
    timeout: DEADLINE_MS,
  })
  let [output, errors] = ['', '']
  child.stdout.setEncoding('utf8').on('data', (text: string) => (output += text))
  child.stderr.setEncoding('utf8').on('data', (text: string) => (errors += text))
  let seconds = 0
  child.once('exit', () => (seconds = (performance.now() - started) / 1000))
  const { promise, resolve, reject } = Promise.withResolvers<number | null>()
  child.once('error', reject)
  child.once('close', resolve)
  const code = await promise
  if (code !== 0 || (errors !== '' && !chatty)) {
    throw new Error(`${program} failed (${String(code)}): ${(errors || output).slice(-2000)}`)
  }
  return { seconds, output: chatty ? output + errors : output }
}
