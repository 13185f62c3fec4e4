import type { SoakResult } from './soak.ts'

/** Whether nothing was lost, wrong, hung, failed without a reason or left behind. */
export function isClean({ tally, leaks }: SoakResult): boolean {
  return tally.isClean && leaks.length === 0
}

/** The result for people; what is told by kind of request and code is in the JSON. */
export function report(result: SoakResult, machine: readonly string[]): string {
  const { tally, options, verified, before, after, leaks, drains } = result
  const { requests, bytes, seconds, faults, refusals, unexplained, troubles } = tally
  const { milliseconds, clients, seed } = options
  return [
    `Soak of ${milliseconds / 60_000} min with ${clients} clients, seed ${seed}: ${isClean(result) ? 'clean' : 'NOT CLEAN'}`,
    `Machine: ${machine.join('; ')}`,
    '',
    `Load: ${requests} requests in ${Math.round(seconds)} s, ${(requests / seconds).toFixed(1)} a second, ` +
      `${(bytes / 1e9).toFixed(1)} GB received; the slowest took ${(tally.slowest / 1000).toFixed(1)} s`,
    ...[...folded(tally.endings, kindOf)].map(([kind, endings]) => `  ${kind}: ${listed(endings).join(', ')}`),
    '',
    `Faults: ${sum(faults.values())}, ${drains} of them drains of the gateway`,
    ...listed(faults).map((text) => `  ${text}`),
    '',
    'Failed cleanly:',
    ...[...folded(tally.codes, () => '').values()].flatMap(listed).map((text) => `  ${text}`),
    `  of instances to be stored, by Failure Reason: ${listed(refusals).join(', ') || 'none'}`,
    '',
    'Stored:',
    ...verified.map(
      ({ archive, sent, stored, found, unknown }) =>
        `  ${archive}: ${sent} instances sent, ${stored} called stored, ${found} of these there byte for byte; ` +
        `${unknown} there without an answer that said so`,
    ),
    '',
    `Lost ${tally.lost}, wrong ${tally.wrong}, hung ${tally.hung}, unexplained ${sum(unexplained.values())}`,
    ...listed(unexplained).map((text) => `  ${text}`),
    ...troubles.map((text) => `  ${text}`),
    '',
    'Held by the gateway before the load, and behind it:',
    ...Object.entries(before).map(([name, value]) => `  ${name}: ${value}, ${after[name as keyof typeof after]}`),
    ...leaks.map((text) => `  LEFT BEHIND ${text}`),
  ].join('\n')
}

/** The same for programs. */
export function reportJson(result: SoakResult, machine: readonly string[]): string {
  const plain = (_key: string, value: unknown): unknown =>
    value instanceof Map ? Object.fromEntries(value as Map<string, unknown>) : value
  return `${JSON.stringify({ clean: isClean(result), machine, ...result }, plain, 2)}\n`
}

/** `frames stored` of `frames stored, read slowly`. */
function kindOf(kind: string): string {
  return kind.split(',')[0]!
}

/** Counts of counts, those whose names become the same added up. */
function folded(
  counts: ReadonlyMap<string, ReadonlyMap<string, number>>,
  nameOf: (name: string) => string,
): Map<string, Map<string, number>> {
  const all = new Map<string, Map<string, number>>()
  for (const [name, inner] of [...counts].sort(([a], [b]) => (a < b ? -1 : 1))) {
    const into = all.get(nameOf(name)) ?? new Map<string, number>()
    all.set(nameOf(name), into)
    for (const [key, count] of inner) into.set(key, (into.get(key) ?? 0) + count)
  }
  return all
}

/** `name count`, the most first. */
function listed(counts: ReadonlyMap<string, number>): string[] {
  return [...counts].sort(([, a], [, b]) => b - a).map(([name, count]) => `${name} ${count}`)
}

function sum(values: Iterable<number>): number {
  return [...values].reduce((all, one) => all + one, 0)
}
