import type { DestinationStream } from 'pino'
import { pino } from 'pino'

/** What peers name themselves by may hold them: a terminal would obey, and a line would become two. */
const CONTROLS = /[\u0000-\u001f\u007f-\u009f\u2028\u2029]/g
/** A value that stands by itself. */
const PLAIN = /^[^\s"'=\\{}[\]]+$/

/** Where log lines go, and how they look: JSON, or one line of text an event for people. */
export function logLines(
  format: 'json' | 'pretty',
  out: { write(text: string): unknown } = process.stdout,
): DestinationStream {
  return {
    write(line) {
      out.write(`${escaped((format === 'json' ? line : pretty(line)).replace(/\n$/, ''))}\n`)
    },
  }
}

/** As JSON writes them, so that a line of JSON stays what it was. */
function escaped(text: string): string {
  return text.replace(CONTROLS, (one) => `\\u${one.charCodeAt(0).toString(16).padStart(4, '0')}`)
}

function pretty(line: string): string {
  const { time, level, msg, ...fields } = JSON.parse(line) as { time: number; level: number; msg: string }
  const name = pino.levels.labels[level] ?? String(level)
  const rest = Object.entries(fields).map(
    ([key, value]) => `${key}=${typeof value === 'string' && PLAIN.test(value) ? value : JSON.stringify(value)}`,
  )
  return `${new Date(time).toISOString()} ${name.toUpperCase().padEnd(5)} ${msg} ${rest.join(' ')}`
}
