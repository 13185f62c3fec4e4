import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { auditMessage } from '../../src/audit/audit-message.ts'
import { fhirAuditEvent } from '../../src/audit/fhir-audit-event.ts'
import { findProgram } from '../support/peers.ts'
import { EVENTS, SOURCE } from './events.ts'

const SCHEMA = join(import.meta.dirname, 'audit-message.rng')

const hasXmllint = findProgram('xmllint') !== undefined

/** Holds a message against the schema. @throws where it does not keep to it */
function validate(text: string): void {
  const folder = mkdtempSync(join(tmpdir(), 'dimsegate-audit-'))
  const file = join(folder, 'message.xml')
  writeFileSync(file, text)
  try {
    execFileSync('xmllint', ['--noout', '--relaxng', SCHEMA, file], { stdio: 'pipe' })
  } finally {
    rmSync(folder, { recursive: true })
  }
}

describe('a DICOM audit message', () => {
  it.skipIf(!hasXmllint && process.env['CI'] !== 'true').each(EVENTS)(
    'of $kind ($verb) keeps to the schema of PS3.15 A.5.1',
    (event) => {
      expect(() => validate(auditMessage(event, SOURCE))).not.toThrow()
    },
  )

  it('names who asked, where from, of which archive, and what', () => {
    const text = auditMessage(EVENTS[4]!, SOURCE)
    expect(text).toContain(
      '<EventID csd-code="110104" codeSystemName="DCM" originalText="DICOM Instances Transferred"/>',
    )
    expect(text).toContain(
      'UserID="dr. &#60;&#34;who&#34;&#62;" AlternativeUserID="https://login.example" UserIsRequestor="true" NetworkAccessPointID="2001:db8::1" NetworkAccessPointTypeCode="2"',
    )
    expect(text).toContain(
      'UserID="PACS" AlternativeUserID="AETITLES=PACS" UserIsRequestor="false" NetworkAccessPointID="pacs.example"',
    )
    expect(text).toContain('ParticipantObjectID="1.2.3"')
    expect(text).toContain('<SOPClass UID="1.2.840.10008.5.1.4.1.1.2" NumberOfInstances="3"/>')
    expect(text).toContain('ParticipantObjectID="P-1^^^HOSPITAL"')
    expect(text).toContain('AuditEnterpriseSiteID="Süd &#38; Co" AuditSourceID="DIMSEGATE@gateway.test"')
  })

  it('holds a query as it was written, in base64', () => {
    const [, query] = /<ParticipantObjectQuery>([^<]*)</.exec(auditMessage(EVENTS[2]!, SOURCE))!
    expect(Buffer.from(query!, 'base64').toString()).toBe('PatientName=M%C3%BCller*')
  })

  it('of an alert says how many like it were left out', () => {
    const text = auditMessage(EVENTS.at(-1)!, SOURCE)
    const [, detail] = /type="Alert Description" value="([^"]*)"/.exec(text)!
    expect(Buffer.from(detail!, 'base64').toString()).toBe('TOKEN_REFUSED, and 3 like it before that were left out')
    expect(fhirAuditEvent(EVENTS.at(-1)!, SOURCE)).toMatchObject({
      entity: [{ detail: [{ type: 'Left out', valueString: '3' }] }],
    })
  })

  it('is XML whatever is in it', () => {
    const name = '\u0000\u001f\u0085\ud800<&>"\'\r\n\ufffe'
    const text = auditMessage({ ...EVENTS[4]!, user: { kind: 'token', name } }, SOURCE)
    if (hasXmllint) expect(() => validate(text)).not.toThrow()
    expect(text).not.toMatch(/[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufffe]/)
  })
})
