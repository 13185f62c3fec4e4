import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { SyslogSink } from '../../src/audit/syslog-sink.ts'
import { EVENTS } from '../audit/events.ts'
import { instanceFile, S } from '../support/dicom-files.ts'
import { certificateFor, type Certificate } from '../support/certificate.ts'
import { eventually } from '../support/eventually.ts'
import { startSetup, type Setup } from '../support/gateway.ts'
import { findProgram, requireProgram } from '../support/peers.ts'
import { freePort } from '../support/ports.ts'
import { startProcess, type RunningProcess } from '../support/process.ts'

const [server, client] = [certificateFor('syslog.test'), certificateFor('gateway.test')] as [Certificate, Certificate]

/** In CI its absence is a failure. */
const isSkipped = findProgram('rsyslogd') === undefined && process.env['CI'] !== 'true'

describe.skipIf(isSkipped)("Debian's rsyslog with gnutls", () => {
  let folder: string
  let rsyslog: RunningProcess
  let setup: Setup
  let file: string
  let port: number

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'dimsegate-rsyslog-'))
    file = join(folder, 'audit.log')
    port = await freePort()
    const config = join(folder, 'rsyslog.conf')
    const settings = [
      `global(workDirectory="${folder}" maxMessageSize="64k" DefaultNetstreamDriver="gtls"`,
      ` DefaultNetstreamDriverCAFile="${client.files.cert}"`,
      ` DefaultNetstreamDriverCertFile="${server.files.cert}" DefaultNetstreamDriverKeyFile="${server.files.key}")`,
      'module(load="imtcp" StreamDriver.Name="gtls" StreamDriver.Mode="1" StreamDriver.AuthMode="x509/certvalid")',
      `input(type="imtcp" port="${port}" address="127.0.0.1")`,
      'template(name="raw" type="string" string="%app-name% %msgid% %syslogfacility%.%syslogseverity% %msg%\\n")',
      `*.* action(type="omfile" file="${file}" template="raw")`,
    ]
    await writeFile(config, settings.join('\n') + '\n')
    rsyslog = await startProcess(requireProgram('rsyslogd'), {
      args: ['-n', '-f', config, '-i', join(folder, 'pid')],
      ports: [port],
    })
    const { cert, key } = client.files
    const syslog = { host: '127.0.0.1', port, ca: server.files.cert, cert, key, servername: 'syslog.test' }
    setup = await startSetup({ files: [instanceFile()], others: { audit: { syslog, site: 'here' } } })
  })

  afterAll(async () => {
    await (setup as Setup | undefined)?.[Symbol.asyncDispose]()
    await (rsyslog as RunningProcess | undefined)?.[Symbol.asyncDispose]()
    await rm(folder, { recursive: true, force: true })
    for (const one of [server, client]) (one as Certificate | undefined)?.[Symbol.dispose]()
  })

  it('takes the audit trail by TLS, whole', async () => {
    expect((await fetch(`${setup.url}/studies?PatientID=123`)).status).toBe(200)
    expect((await fetch(`${setup.url}/studies/${S}`)).status).toBe(200)
    await eventually(async () => {
      const lines = (await readFile(file, 'utf8')).split('\n').filter((line) => line.includes('AuditMessage'))
      const ids = lines.map((line) => /<EventID csd-code="(\d+)"/.exec(line)?.[1])
      expect(ids).toEqual(['110100', '110112', '110102', '110104'])
      for (const line of lines) {
        expect(line).toMatch(/^dimsegate DICOM\+RFC3881 10\.5 .*<\?xml .*<\/AuditMessage>$/)
      }
    }, 20_000)
  }, 40_000)

  it('that does not know our certificate has nothing written, and says so', async () => {
    const tls = { ca: server.cert, cert: server.cert, key: server.key, servername: 'syslog.test' }
    const source = { aeTitle: 'DIMSEGATE', host: 'gateway.test' }
    const sink = new SyslogSink({ host: '127.0.0.1', port, tls: () => Promise.resolve(tls), source })
    await expect(sink.write(EVENTS)).rejects.toThrow()
    expect(await readFile(file, 'utf8')).not.toContain('gateway.test')
  })
})
