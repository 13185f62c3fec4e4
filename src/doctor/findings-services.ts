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

interface System {
  readonly aeTitle: string
  readonly host: string
  readonly port: number
}

export function systemOffers({ aeTitle }: System, offered: readonly string[], missing: readonly string[]): Finding {
  const facts = { aeTitle, offered, missing }
  if (offered.length > 0 && !missing.some((name) => name === 'worklist' || name === 'performed steps')) {
    const text = `${aeTitle}, beside it, offers: ${offered.join(', ')}.`
    return { level: 'ok', code: 'SYSTEM_OFFERS', text, facts }
  }
  return {
    level: 'note',
    code: 'SYSTEM_LACKS',
    text:
      `${aeTitle}, beside it, does not offer: ${missing.join(', ')}. ` +
      'Check archives[].worklist and archives[].performedSteps, or ask its administrator to allow it for our AE title.',
    facts,
  }
}

export function systemFailed({ aeTitle, host, port }: System, error: unknown): Finding {
  return {
    level: 'problem',
    code: 'SYSTEM_FAILED',
    text:
      `${aeTitle}, beside it, cannot be reached at ${host}:${port}: ${reasonOf(error)}. ` +
      'Check its entry in the configuration, that it runs, and that it knows our AE title.',
  }
}
