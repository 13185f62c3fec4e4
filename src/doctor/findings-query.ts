import { NotSupportedByArchiveError } from '../pacs/errors.ts'
import type { QueryLevel } from '../pacs/search/query.ts'
import type { Parties } from './findings-reach.ts'
import { reasonOf, seconds } from './reason.ts'
import type { Finding } from './report.ts'

// What is found by C-FIND, in words. Never a value that the archive answered with.

export interface Found {
  readonly level: QueryLevel
  readonly matches: number
  /** More were there: the query was ended by C-CANCEL. */
  readonly cut: boolean
  readonly milliseconds: number
  /** Keywords of optional attributes that were asked for. */
  readonly returned: readonly string[]
  readonly missing: readonly string[]
  /** Days back from today, of studies; none for all of them. */
  readonly days?: number | undefined
}

const nouns = { STUDY: 'studies', SERIES: 'series', IMAGE: 'instances' } as const

export function found({ level, matches, cut, milliseconds, returned, missing, days }: Found): Finding[] {
  const facts = { level, matches, cut, milliseconds, ...(days !== undefined && { days }) }
  const noun = nouns[level]
  const span = days === undefined ? '' : ` of the last ${days} days`
  const end = cut ? ', then ended by C-CANCEL' : ''
  const some = returned.length > 0 ? ` They come with ${returned.join(', ')}.` : ''
  const text = `C-FIND of ${noun}${span}: ${matches} in ${seconds(milliseconds)}${end}.${some}`
  const ok: Finding = { level: 'ok', code: 'FIND_OK', text, facts: { ...facts, returned } }
  if (missing.length === 0) return [ok]
  const how =
    level === 'STUDY'
      ? ' What users want of it is found by further queries, which makes searches slower (archives[].search.deriveCounts).'
      : ''
  return [
    ok,
    {
      level: 'note',
      code: 'FIND_ATTRIBUTES_MISSING',
      text: `C-FIND of ${noun} comes without ${missing.join(', ')}.${how}`,
      facts: { level, missing },
    },
  ]
}

export function foundNothing(level: QueryLevel): Finding {
  const text = `C-FIND of ${nouns[level]} is answered, but without a match. The archive may be empty, or show us nothing.`
  return { level: 'note', code: 'FIND_EMPTY', text, facts: { level } }
}

export function findFailed({ aeTitle, callingAeTitle, ourHost }: Parties, level: QueryLevel, error: unknown): Finding {
  const ask = `Please allow the AE title ${callingAeTitle} at host ${ourHost} C-FIND (Study Root) on ${aeTitle}.`
  const code = error instanceof NotSupportedByArchiveError ? 'FIND_NOT_ACCEPTED' : 'FIND_FAILED'
  const text = `C-FIND of ${nouns[level]} does not work: the archive ${reasonOf(error)}.`
  return { level: 'problem', code, text, ask, facts: { level } }
}

export interface Granted {
  /** Extended negotiation was asked for at all. */
  readonly asked: boolean
  /** The archive answered it. */
  readonly answered: boolean
  readonly relational: boolean
  readonly fuzzy: boolean
}

/** Relational queries and fuzzy matching of names (PS3.4 C.5.1.1). */
export function options({ asked, answered, relational, fuzzy }: Granted): Finding[] {
  if (!asked) {
    const text = 'Extended negotiation is switched off (archives[].search.extendedNegotiation, .quirks).'
    return [{ level: 'note', code: 'OPTIONS_NOT_ASKED', text }]
  }
  const silent = answered ? '' : ' (extended negotiation is not answered)'
  return [
    relational
      ? { level: 'ok', code: 'RELATIONAL_GRANTED', text: 'Relational queries are granted.' }
      : {
          level: 'note',
          code: 'RELATIONAL_NOT_GRANTED',
          text: `Relational queries are not granted${silent}: a search over all series or instances goes study by study, unless archives[].search.relational says otherwise.`,
        },
    fuzzy
      ? { level: 'ok', code: 'FUZZY_GRANTED', text: 'Fuzzy matching of names is granted.' }
      : {
          level: 'note',
          code: 'FUZZY_NOT_GRANTED',
          text: `Fuzzy matching of names is not granted${silent}: fuzzymatching=true has no effect.`,
        },
  ]
}

/** Found without having been granted; `isAssumed`: the configuration counts on it. */
export function relationalAnswered(isAssumed: boolean): Finding {
  const text = 'Relational queries are answered all the same.'
  const how = isAssumed
    ? ''
    : ' archives[].search.relational: assume makes searches over all series or instances one query.'
  return { level: isAssumed ? 'ok' : 'note', code: 'RELATIONAL_ANSWERED', text: text + how }
}

/** Answered, but attributes of the levels above are not matched: such a search finds what does not fit. */
export function relationalUnmatched(isAssumed: boolean): Finding {
  const text =
    'Relational queries are answered, but attributes of patients and studies are not matched in them: archives[].search.relational has to be negotiate.'
  return { level: isAssumed ? 'problem' : 'note', code: 'RELATIONAL_UNMATCHED', text }
}

export function relationalNotAnswered(isAssumed: boolean): Finding | undefined {
  if (!isAssumed) return undefined
  const text =
    'Relational queries are not answered, though archives[].search.relational is assume: searches over all series or instances find nothing. Take negotiate.'
  return { level: 'problem', code: 'RELATIONAL_NOT_ANSWERED', text }
}

export function charsetTaken(): Finding {
  const text = 'A search key in ISO_IR 192 (UTF-8) is taken.'
  return { level: 'ok', code: 'CHARSET_TAKEN', text }
}

export function charsetRefused(configured: string, error: unknown): Finding {
  const text = `A search key in ISO_IR 192 (UTF-8) is not taken: the archive ${reasonOf(error)}. Searches for names beyond ASCII will fail unless archives[].charset.query (${configured}) is a set it knows, perhaps ISO_IR 100.`
  const level = configured === 'ISO_IR 192' ? 'problem' : 'note'
  return { level, code: 'CHARSET_REFUSED', text, facts: { configured } }
}
