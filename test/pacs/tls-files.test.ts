import { afterAll, describe, expect, it } from 'vitest'
import { openAudit } from '../../src/audit/open.ts'
import { parseConfig, type Config } from '../../src/config/config.ts'
import { Archive } from '../../src/pacs/archive.ts'
import { MoveDestination } from '../../src/pacs/delivery/move-destination.ts'
import { readListenerTls, readSyslogTls, readTls, TlsFileError } from '../../src/pacs/tls-files.ts'
import { SparedLines } from '../../src/telemetry/spared-lines.ts'
import { certificateFor } from '../support/certificate.ts'

const [gateway, pacs] = ['gateway.localhost', 'pacs.test'].map(certificateFor)

afterAll(() => {
  for (const one of [gateway, pacs]) one?.[Symbol.dispose]()
})

function configOf(tls: object): Config {
  const archives = [{ aeTitle: 'PACS', host: '127.0.0.1', port: 1, tls }]
  const audit = { syslog: { host: 'syslog.test', ...tls } }
  return parseConfig({ dimse: { host: '127.0.0.1', port: 0, tls }, archives, audit })
}

describe.skipIf(!gateway || !pacs)('the files of archives[].tls, of dimse.tls and of audit.syslog', () => {
  it('are given as they are', async () => {
    const { archives, dimse } = configOf({ ...gateway!.files, ca: pacs!.files.cert })
    const read = { key: Buffer.from(gateway!.key), cert: Buffer.from(gateway!.cert), ca: Buffer.from(pacs!.cert) }
    expect(await readTls(archives[0]!.tls!)).toEqual({ ...read, minVersion: 'TLSv1.2', rejectUnauthorized: true })
    expect(await readListenerTls(dimse.tls!)).toEqual({ ...read, minVersion: 'TLSv1.2' })
  })

  it.each([
    ['key', () => ({ key: '/nowhere/key.pem' }), 'key cannot be read (ENOENT'],
    ['cert', () => ({ cert: gateway!.files.key }), 'cert does not hold what it should'],
    ['ca', () => ({ ca: gateway!.files.key }), 'ca does not hold what it should'],
    ['key', () => ({ key: gateway!.files.cert }), 'key does not hold what it should'],
    ['pair', () => ({ key: pacs!.files.key }), 'key is not of the certificate'],
  ])('are found out when they are opened, and not when they are used: %s', async (_, change, problem) => {
    const { archives, dimse, audit } = configOf({ ...gateway!.files, ...change() })
    for (const [path, reading] of [
      ['archives[].tls', () => Archive.open(archives[0]!, new MoveDestination(dimse))],
      ['dimse.tls', () => MoveDestination.open(dimse)],
      [
        'audit.syslog',
        () => openAudit(audit, { aeTitle: 'GATEWAY', readTls: readSyslogTls, alerts: new SparedLines() }),
      ],
    ] as const) {
      const error = await reading().then(
        () => undefined,
        (failure: unknown) => failure,
      )
      expect(error).toBeInstanceOf(TlsFileError)
      expect((error as Error).message).toContain(`${path}.${problem}`)
    }
  })

  it('are not read for a listener that is switched off', async () => {
    const { dimse } = configOf({ cert: '/nowhere/cert.pem', key: '/nowhere/key.pem' })
    const off = await MoveDestination.open({ ...dimse, enabled: false })
    expect([off.enabled, off.isSecured]).toEqual([false, false])
    expect((await MoveDestination.open(configOf(gateway!.files).dimse)).isSecured).toBe(true)
  })
})
