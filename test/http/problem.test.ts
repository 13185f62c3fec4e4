import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import ts from 'typescript'
import { describe, expect, it } from 'vitest'
import { readFacts } from '../../scripts/check-docs.ts'
import { Status, StatusError } from '../../src/dimse/status.ts'
import { errorPage, readErrorPage } from '../../src/http/ops/error-page.ts'
import { ERROR_PAGE, faultCodes, MAX_PATH, problemOf, RequestError } from '../../src/http/problem.ts'
import { ArchiveDownError } from '../../src/pacs/errors.ts'
import { PeerTimeoutError } from '../../src/network/errors.ts'

const SOURCES = join(import.meta.dirname, '../../src')

/** Folders whose errors end a start, or a report; no request meets them. */
const OTHER_THAN_WEB = /^(config|doctor|demo)\//

/** Errors that become no problem document, each for a reason of its own. */
const CAUGHT: Readonly<Record<string, string>> = {
  ARCHIVE_BUSY: 'has a prior fetched later',
  BATCH_OVER: 'ends waiting for an association that nobody stores over any more',
  DOCUMENT_NOT_CLEAN: 'of an instance that is stored: has its place in the response',
  NOT_IN_TABLE: 'of an instance that is stored: has its place in the response',
  NO_SCHEDULED_STEP: 'of an instance that is stored: has its place in the response',
  PIXELS_NOT_CLEAN: 'of an instance that is stored: has its place in the response',
  NO_ROUTE: 'of an instance of a device: is in the log',
  ROUTER_CLOSED: 'of a delivery that nobody waits for: is in the log',
  DELIVERY_ABANDONED: 'ends a delivery to a destination of a route',
  DESTINATIONS_BEHIND: 'of a delivery that nobody waits for: is in the log',
  DESTINATION_TOO_SLOW: 'of a delivery that nobody waits for: is in the log',
  FRONT_TOO_LONG: 'of an instance that is stored: has its place in the response',
  MISPLACED_ELEMENT: 'of an instance that is stored: has its place in the response',
  REPORT_REFUSED: 'of a device that asked for commitment: is in the log',
  UNREADABLE_ITEMS: 'of an instance that is stored: has its place in the response',
  AUDIT_EVENT_REFUSED: 'has an audit event written again, or given up',
  AUDIT_FILE_UNUSABLE: 'ends the start',
  AUDIT_REPOSITORY_FAILED: 'has the audit events written again',
  RELAY_CUT: 'has the instance asked for again',
  COMING_LATER: 'is 202 to who does not wait for a retrieval',
  CLIENT_GONE: 'nobody is there to be told',
  DAMAGED_BLOCK: 'has the instance fetched anew',
  ANSWER_CUT_SHORT: 'ends a search whose status line is out',
  DIMSE_STATUS: 'is described by its status',
  DISK_FAULT: 'has the instance fetched anew',
  DISK_FOLDER: 'ends the start',
  ETIMEDOUT: 'is the cause of SPOOL_DISK, as other errors of the system',
  SPOOL_COMMAND: 'ends a command',
  SPOOL_DISK: 'of a delivery that nobody waits for: is in the log',
  SPOOL_FILE_DAMAGED: 'of a delivery that nobody waits for: is in the log',
  SPOOL_FOLDER: 'ends the start',
  SPOOL_FULL: 'of a delivery that nobody waits for: is in the log',
  ISSUER_UNAVAILABLE: 'becomes SIGN_IN_UNAVAILABLE',
  GIVEN_WAY: 'has priors looked for later',
  INVALID_COMMAND: 'becomes a ProtocolError',
  INVALID_PDU: 'becomes a ProtocolError',
  KEY_FILE_UNUSABLE: 'ends the start, or becomes SIGN_IN_UNAVAILABLE',
  NO_ROOM: 'of the disk of the cache: the instance is not kept there',
  NOT_DICOM: 'of a part of a store: has its place in the response',
  PARTLY_WRITTEN: 'has the other audit events written again',
  SYSLOG_ENDED: 'has the audit events written again',
  SYSLOG_TIMEOUT: 'has the audit events written again',
  TLS_FILE_UNUSABLE: 'ends the start',
  PREFETCH_BUDGET_SPENT: 'ends the fetching of priors',
  STREAMED_LENGTH: 'fails one instance of a store',
  UNFIT_PIXEL_DATA: 'fails one instance of a store, or becomes UNUSABLE_MEDIA',
  UNUSABLE_VIDEO: 'becomes UNUSABLE_MEDIA',
  UNENCODABLE_TEXT: 'becomes an UnencodableKeyError',
  UNWANTED: 'ends a retrieval that nobody waits for',
  VALUE_NOT_OF_VR: 'becomes an InvalidKeyError; in a UID that the archive gave it is a fault of the gateway',
}

/** Codes of the classes of errors, each with the files that have one of it: `code = 'X'`, or a union of names. */
function classCodes(): Map<string, string[]> {
  const found = new Map<string, string[]>()
  for (const file of globSync('**/*.ts', { cwd: SOURCES, exclude: ['**/*.d.ts'] })) {
    if (OTHER_THAN_WEB.test(file)) continue
    const parsed = ts.createSourceFile(file, readFileSync(join(SOURCES, file), 'utf8'), ts.ScriptTarget.Latest, true)
    const unions = new Map<string, string[]>()
    for (const statement of parsed.statements) {
      if (ts.isTypeAliasDeclaration(statement)) unions.set(statement.name.text, literalsOf(statement.type))
    }
    for (const statement of parsed.statements) {
      if (!ts.isClassDeclaration(statement) || !statement.name?.text.endsWith('Error')) continue
      for (const code of codesOf(statement, unions)) found.set(code, [...(found.get(code) ?? []), file])
    }
  }
  return found
}

function codesOf(declaration: ts.ClassDeclaration, unions: ReadonlyMap<string, string[]>): string[] {
  return declaration.members.flatMap((member) => {
    if (!ts.isPropertyDeclaration(member) || member.name.getText() !== 'code') return []
    if (member.initializer && ts.isStringLiteral(member.initializer)) return [member.initializer.text]
    return (member.type && unions.get(member.type.getText())) ?? []
  })
}

function literalsOf(type: ts.TypeNode): string[] {
  const members = ts.isUnionTypeNode(type) ? [...type.types] : [type]
  return members.flatMap((one) =>
    ts.isLiteralTypeNode(one) && ts.isStringLiteral(one.literal) ? one.literal.text : [],
  )
}

describe('errors of the layers below', () => {
  const codes = classCodes()

  it('are found: those with a code of their own and those with one of several', () => {
    expect(codes.get('PEER_TIMEOUT')).toEqual(['network/errors.ts'])
    expect(codes.get('MULTIPART_TRUNCATED')).toEqual(['dicomweb/multipart/error.ts'])
    expect(codes.get('SEARCH_TOO_BROAD')).toHaveLength(2)
  })

  it('have a status each, or a reason why no request ends with them', () => {
    const without = [...codes].filter(([code]) => !faultCodes.includes(code) && !(code in CAUGHT))
    expect(without).toEqual([])
  })

  it('are there for every status', () => {
    expect(faultCodes.filter((code) => !codes.has(code))).toEqual([])
    expect(Object.keys(CAUGHT).filter((code) => !codes.has(code) || faultCodes.includes(code))).toEqual([])
  })
})

describe('a problem document', () => {
  it('has a type that leads to what is written of its code', async () => {
    const { problem } = problemOf(new PeerTimeoutError('response', 5), '/dicomweb/studies', 'https://pacs.example')
    expect(problem.type).toBe('https://pacs.example/errors#PEER_TIMEOUT')
    expect(problem.code).toBe('PEER_TIMEOUT')
    const [, anchor] = problem.type.split('#')
    expect(await readErrorPage()).toContain(`<dt id="${anchor}">`)
  })

  it.each([
    [0, '1'],
    [1_000, '1'],
    [1_001, '2'],
    [29_500, '30'],
  ])('of an archive that is down says when it is tried again: %i ms', (milliseconds, seconds) => {
    const { problem, headers } = problemOf(new ArchiveDownError('main', milliseconds), '/dicomweb/studies')
    expect(problem).toMatchObject({ status: 503, code: 'ARCHIVE_DOWN' })
    expect(headers).toEqual({ 'Retry-After': seconds })
  })

  it('says that the service is unavailable, not the archive, where that has not said it', () => {
    const response = { type: 'C-FIND-RSP', messageIdBeingRespondedTo: 1, hasDataSet: false } as const
    const cause = new StatusError({ ...response, status: Status.outOfResources })
    const titleOf = (error: Error): string => problemOf(error, '/').problem.title
    for (const code of ['AUDIT_UNAVAILABLE', 'SIGN_IN_UNAVAILABLE', 'TOO_MANY_REQUESTS'])
      expect(titleOf(new RequestError(503, code, 'x'))).toBe('Service unavailable')
    expect(titleOf(new RequestError(503, 'DIMSE_STATUS', 'x', {}, { cause }))).toBe('Archive unavailable')
    expect(titleOf(cause)).toBe('Archive unavailable')
  })

  it('repeats no more of a path than is of use', () => {
    const path = `/${'x'.repeat(MAX_PATH)}`
    expect(problemOf(new Error('x'), path.slice(0, -1)).problem.instance).toHaveLength(MAX_PATH)
    expect(problemOf(new Error('x'), path).problem.instance).toHaveLength(MAX_PATH)
  })

  it('of a status of the archive and of a fault of ours has one too', async () => {
    const page = await readErrorPage()
    const status = new StatusError({
      type: 'C-FIND-RSP',
      messageIdBeingRespondedTo: 1,
      status: Status.outOfResources,
      hasDataSet: false,
    })
    for (const error of [
      status,
      new Error('a bug'),
      { code: 'toString' },
      new (class extends Error {
        code = 'toString'
      })(),
    ]) {
      const { type, code } = problemOf(error, '/').problem
      expect(type).toBe(`${ERROR_PAGE}#${code}`)
      expect(page).toContain(`id="${code}"`)
    }
  })
})

describe('the page of errors', () => {
  it('has an anchor for every code of a problem document', async () => {
    const page = await readErrorPage()
    expect([...readFacts().errorCodes].filter((code) => !page.includes(`<dt id="${code}">`))).toEqual([])
  })

  it('gives each code of a row its status and text, without markup of ours', () => {
    const rows = [
      '| Code | Status | What to do |',
      '| --- | --- | --- |',
      '| `ONE`, `TWO` | 413 | More than `a < b` & so on, see [there](images.md) |',
      '| `DOCTOR_ONLY` | problem | no status |',
    ]
    const page = errorPage(rows.join('\n'))
    const text = '413</dt><dd>More than <code>a &lt; b</code> &amp; so on, see there</dd>'
    expect(page).toContain(`<dt id="ONE"><code>ONE</code>, ${text}`)
    expect(page).toContain(`<dt id="TWO"><code>TWO</code>, ${text}`)
    expect(page).not.toContain('DOCTOR_ONLY')
  })
})
