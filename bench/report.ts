import { median, type Result } from './contest.ts'

/** Of every retrieve and store, whatever its size: bytes of memory; and of every study: seconds to the first byte. */
const PEAK_RSS = { reach: 140e6, aim: 110e6 }
const FIRST_BYTE = { reach: 0.05, aim: 0.02 }

const HEADINGS = [
  'Work',
  'Against',
  'Ratio',
  'Spread',
  'Reach / aim',
  'Verdict',
  'Gateway s',
  'Against s',
  'Gateway CPU s',
  'CPU s a GB',
  'First byte ms',
  'Peak RSS MB',
  'Wire bytes',
]

/** The results as a Markdown table. */
export function table(results: readonly Result[], machine: readonly string[]): string {
  const rows = [
    HEADINGS,
    HEADINGS.map((_, column) => (column < 2 || column === 5 ? '---' : '---:')),
    ...results.map(row),
  ]
  return [
    ...rows.map((cells) => `| ${cells.join(' | ')} |`),
    '',
    'Medians; the spread is the least and the greatest ratio of a pair.',
    `A first byte is to come within ${FIRST_BYTE.reach * 1000} ms (aim: ${FIRST_BYTE.aim * 1000}), ` +
      `memory to stay within ${PEAK_RSS.reach / 1e6} MB (aim: ${PEAK_RSS.aim / 1e6}); ! marks what does not.`,
    `Machine: ${machine.join('; ')}.`,
  ].join('\n')
}

function row({ scenario, ours, theirs, ratios, cpuSeconds, bytes, peakRss }: Result): string[] {
  const { work, against, target } = scenario
  const seconds = median(ours.map((turn) => turn.seconds))
  const firstByte = median(ours.map((turn) => turn.firstByteSeconds))
  const wire = ours.flatMap((turn) => turn.wireBytes ?? [])
  const measured = target?.of === 'milliseconds' ? seconds * 1000 : median(ratios)
  const unit = target?.of === 'milliseconds' ? ' ms' : ''
  const ofStudy = work.startsWith('WADO') || target?.of === 'milliseconds'
  return [
    work,
    against,
    median(ratios).toFixed(2),
    `${Math.min(...ratios).toFixed(2)}-${Math.max(...ratios).toFixed(2)}`,
    target ? `${target.reach} / ${target.aim}${unit}` : '',
    target ? (measured <= target.aim ? 'aim' : measured <= target.reach ? 'reached' : 'missed') : '',
    seconds.toFixed(3),
    median(theirs).toFixed(3),
    cpuSeconds.length === 0 ? '' : median(cpuSeconds).toFixed(2),
    cpuSeconds.length === 0 || bytes === undefined ? '' : (median(cpuSeconds) / (bytes / 1e9)).toFixed(2),
    ofStudy ? marked(firstByte, FIRST_BYTE.reach, (firstByte * 1000).toFixed(0)) : '',
    peakRss === undefined ? '' : marked(peakRss, PEAK_RSS.reach, (peakRss / 1e6).toFixed(0)),
    wire.length === 0 ? '' : String(median(wire)),
  ]
}

function marked(value: number, limit: number, text: string): string {
  return value <= limit ? text : `${text} !`
}
