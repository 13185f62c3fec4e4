import { reasonOf } from './reason.ts'
import type { Finding } from './report.ts'

// What an archive does besides images, in words.

export function servicesOffered(offered: readonly string[], missing: readonly string[]): Finding {
  const texts = [
    offered.length > 0 ? `Besides images it offers: ${offered.join(', ')}.` : 'Besides images it offers nothing.',
    ...(missing.length > 0 ? [`Not: ${missing.join(', ')}.`] : []),
  ]
  return { level: 'ok', code: 'SERVICES_OFFERED', text: texts.join(' '), facts: { offered, missing } }
}

export function servicesFailed(error: unknown): Finding {
  return {
    level: 'note',
    code: 'SERVICES_UNKNOWN',
    text: `Which services it offers besides images is not known: ${reasonOf(error)}.`,
  }
}
