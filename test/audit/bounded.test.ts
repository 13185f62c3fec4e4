import { describe, expect, it } from 'vitest'
import { bounded, cut, MAX_NAME, MAX_QUERY, MAX_RESOURCE, MAX_SOP_CLASSES, MAX_UID } from '../../src/audit/bounded.ts'
import type { AuditEvent } from '../../src/audit/event.ts'
import { syslogFrame } from '../../src/audit/syslog-sink.ts'
import { EVENTS, SOURCE } from './events.ts'

/** What the server is told to take, by docs/audit.md. */
const MAX_MESSAGE = 65_536

describe('an event', () => {
  it('has texts that are cut, and say so', () => {
    expect(cut('x'.repeat(MAX_QUERY), MAX_QUERY)).toBe('x'.repeat(MAX_QUERY))
    expect(cut('x'.repeat(MAX_QUERY + 1), MAX_QUERY)).toBe(`${'x'.repeat(MAX_QUERY)}…`)
    // No half of a character is left.
    expect(cut('😀😀', 3)).toBe('😀\ufffd…')
  })

  it('that is not long is as it was', () => {
    for (const event of EVENTS) expect(bounded(event)).toEqual(event)
  })

  it.each(EVENTS)('of $kind ($verb) is a message below 64 KiB, whatever is asked', (event) => {
    for (const character of ['<', '€', '😀', 'x']) {
      const endless = character.repeat(70_000)
      const uids = Array.from({ length: MAX_SOP_CLASSES }, (_, at) => `${at}${'<'.repeat(MAX_UID)}`.slice(0, MAX_UID))
      const longest: AuditEvent = {
        ...event,
        user: { kind: 'token', name: endless, authority: endless },
        archive: { name: endless, aeTitle: endless, host: endless },
        patient: { id: endless, issuer: endless },
        study: { uid: endless, instances: Object.fromEntries(uids.map((uid) => [uid, Number.MAX_SAFE_INTEGER])) },
        ...{ address: endless, resource: endless, query: endless, reason: endless, bytes: Number.MAX_SAFE_INTEGER },
      }
      expect(syslogFrame(bounded(longest), SOURCE).length).toBeLessThan(MAX_MESSAGE)
    }
  })

  it('has a bound for each text', () => {
    const endless = 'x'.repeat(70_000)
    const told = bounded({ ...EVENTS[2]!, user: { kind: 'key', name: endless }, resource: endless, query: endless })
    expect([told.user!.name.length, told.resource!.length, told.query!.length]).toEqual(
      [MAX_NAME, MAX_RESOURCE, MAX_QUERY].map((length) => length + 1),
    )
  })
})
