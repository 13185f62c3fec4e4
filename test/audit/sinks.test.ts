import { once } from 'node:events'
import { createServer as createHttpServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import { createServer, type TLSSocket } from 'node:tls'
import { afterEach, describe, expect, it } from 'vitest'
import { auditMessage } from '../../src/audit/audit-message.ts'
import { Audit } from '../../src/audit/audit.ts'
import { FhirSink } from '../../src/audit/fhir-sink.ts'
import { MAX_WAITING, MAX_WAITING_FOR_ALERTS } from '../../src/audit/queue.ts'
import { RepositoryError } from '../../src/audit/repository-error.ts'
import { END_MS, SETTLING_MS, SyslogSink, type SyslogTls } from '../../src/audit/syslog-sink.ts'
import { certificateFor } from '../support/certificate.ts'
import { eventually } from '../support/eventually.ts'
import { EVENTS, SOURCE } from './events.ts'
import { numbered, Scripted } from './scripted-sink.ts'

const opened: (() => Promise<unknown>)[] = []

afterEach(async () => {
  for (const close of opened.splice(0).reverse()) await close()
})

describe('the audit trail', () => {
  it('is written in order, each event once, whatever fails in between', async () => {
    const sink = new Scripted()
    sink.failures = 1
    const audit = new Audit([sink], 'drop')
    for (const event of numbered(250)) audit.write(event)
    await eventually(() => expect(sink.written).toHaveLength(250))
    sink.partly = 3
    for (const event of numbered(10)) audit.write(event)
    await eventually(() => expect(sink.written).toHaveLength(260))
    expect(sink.written.map(({ query }) => query)).toEqual(
      [...numbered(250), ...numbered(10)].map(({ query }) => query),
    )
    await audit.close()
  })

  it('with drop loses what comes when it is full, and counts it', async () => {
    const sink = new Scripted()
    sink.failures = Infinity
    const audit = new Audit([sink], 'drop')
    for (const event of numbered(MAX_WAITING + 5)) audit.write(event)
    expect(audit.stats).toEqual([{ sink: 'scripted', waiting: MAX_WAITING, dropped: 5 }])
    expect(audit.isBlocked).toBe(false)
    sink.failures = 0
    await eventually(() => expect(sink.written).toHaveLength(MAX_WAITING))
    await audit.close()
  })

  it('with block lets nobody in when it is full, loses nothing, and takes no alerts then', async () => {
    const sink = new Scripted()
    sink.failures = Infinity
    const audit = new Audit([sink], 'block')
    for (const event of numbered(MAX_WAITING - 1)) audit.write(event)
    expect(audit.isBlocked).toBe(false)
    for (const event of numbered(3)) audit.write(event)
    expect(audit.isBlocked).toBe(true)
    audit.alert({ reason: 'TOKEN_REFUSED' })
    expect(audit.stats).toEqual([{ sink: 'scripted', waiting: MAX_WAITING + 2, dropped: 1 }])
    sink.failures = 0
    await eventually(() => expect(audit.isBlocked).toBe(false))
    await audit.close()
    expect(sink.written).toHaveLength(MAX_WAITING + 2)
  })

  it.each(['block', 'drop'] as const)('with %s is not filled by alerts, which anybody can cause', async (onFailure) => {
    const sink = new Scripted()
    sink.failures = Infinity
    const audit = new Audit([sink], onFailure)
    for (let n = 0; n < MAX_WAITING_FOR_ALERTS + 3; n++) audit.alert({ reason: 'TOKEN_REFUSED' })
    expect(audit.isBlocked).toBe(false)
    expect(audit.stats).toEqual([{ sink: 'scripted', waiting: MAX_WAITING_FOR_ALERTS, dropped: 3 }])
    for (const event of numbered(MAX_WAITING - MAX_WAITING_FOR_ALERTS)) audit.write(event)
    expect(audit.stats).toEqual([{ sink: 'scripted', waiting: MAX_WAITING, dropped: 3 }])
    sink.failures = 0
    await audit.close()
  })

  it('of one sink does not wait for another', async () => {
    const [dead, living] = [new Scripted(), new Scripted()]
    dead.failures = Infinity
    const audit = new Audit([dead, living], 'drop')
    for (const event of numbered(3)) audit.write(event)
    await eventually(() => expect(living.written).toHaveLength(3))
    dead.failures = 0
    await audit.close()
    expect(dead.written).toHaveLength(3)
  })
})

describe('a FHIR repository', () => {
  interface Repository {
    readonly url: string
    readonly bodies: Record<string, unknown>[]
    readonly headers: Record<string, unknown>[]
    statuses: number[]
  }
  async function repository(): Promise<Repository> {
    const state: Omit<Repository, 'url'> = { bodies: [], headers: [], statuses: [] }
    const server = createHttpServer((request, response) => {
      void text(request).then((body) => {
        const status = state.statuses.shift() ?? 201
        if (status === 201) {
          state.bodies.push(JSON.parse(body) as Record<string, unknown>)
          state.headers.push({ url: request.url, ...request.headers })
        }
        response.writeHead(status).end()
      })
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    opened.push(async () => {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    })
    return Object.assign(state, { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/fhir` })
  }

  it('gets an AuditEvent for each, in the patterns of BALP', async () => {
    const fhir = await repository()
    await new FhirSink({ url: fhir.url, token: 'secret', source: SOURCE }).write(EVENTS)
    expect(fhir.headers[0]).toMatchObject({
      url: '/fhir/AuditEvent',
      'content-type': 'application/fhir+json',
      authorization: 'Bearer secret',
    })
    const profile = (name: string): object => ({
      meta: { profile: [`https://profiles.ihe.net/ITI/BALP/StructureDefinition/IHE.BasicAudit.${name}`] },
    })
    expect(fhir.bodies).toHaveLength(EVENTS.length)
    expect(fhir.bodies[2]).toMatchObject({ ...profile('Query'), action: 'E', subtype: [{ code: 'search' }] })
    expect(fhir.bodies[4]).toMatchObject({
      ...profile('PatientRead'),
      resourceType: 'AuditEvent',
      type: { code: 'rest' },
      action: 'R',
      recorded: EVENTS[4]!.at,
      outcome: '0',
      agent: [
        { type: { coding: [{ code: '110152' }] }, requestor: true, network: { address: '2001:db8::1', type: '2' } },
        { type: { coding: [{ code: '110153' }] }, requestor: false },
        { who: { display: 'PACS' }, requestor: false },
      ],
      entity: [
        { what: { identifier: { value: 'P-1', assigner: { display: 'HOSPITAL' } } }, role: { code: '1' } },
        { what: { identifier: { system: 'urn:dicom:uid', value: 'urn:oid:1.2.3' } } },
      ],
    })
    // What failed in part is of no pattern.
    expect(fhir.bodies[5]).not.toHaveProperty('meta')
    expect(fhir.bodies[5]).toMatchObject({ action: 'C', outcome: '4', outcomeDesc: 'CLIENT_GONE' })
  })

  it('is told an IP address from the name of a machine', async () => {
    const fhir = await repository()
    const event = EVENTS[4]!
    const events = ['192.0.2.7', '2001:db8::7', 'pacs.example', '10.example'].map((host) => ({
      ...event,
      archive: { ...event.archive!, host },
    }))
    await new FhirSink({ url: fhir.url, token: null, source: { ...SOURCE, host: '192.0.2.1' } }).write(events)
    const types = fhir.bodies.map(({ agent }) =>
      (agent as { network: { type: string } }[]).map(({ network }) => network.type),
    )
    expect(types).toEqual(['2', '2', '1', '1'].map((type) => ['2', '2', type]))
    expect(events.map((one) => /Code="(\d)"[^>]*>(?!.*Network)/s.exec(auditMessage(one, SOURCE))?.[1])).toEqual([
      '2',
      '2',
      '1',
      '1',
    ])
  })

  it('that refuses one gets the others', async () => {
    const fhir = await repository()
    fhir.statuses = [201, 422, 201]
    const audit = new Audit([new FhirSink({ url: fhir.url, token: null, source: SOURCE })], 'drop')
    for (const event of numbered(5)) audit.write(event)
    await eventually(() => expect(audit.stats).toEqual([{ sink: 'fhir', waiting: 0, dropped: 1 }]))
    expect(fhir.bodies).toHaveLength(4)
    await audit.close()
  })

  it('that fails in the middle gets each once', async () => {
    const fhir = await repository()
    fhir.statuses = [201, 201, 503]
    const audit = new Audit([new FhirSink({ url: fhir.url, token: null, source: SOURCE })], 'drop')
    for (const event of numbered(5)) audit.write(event)
    await eventually(() => expect(fhir.bodies).toHaveLength(5))
    await audit.close()
    const queries = fhir.bodies.map((body) => (body['entity'] as { query: string }[])[0]!.query)
    expect(new Set(queries).size).toBe(5)
  })
})

describe('what a FHIR repository answers', () => {
  it.each([
    [400, 'AUDIT_EVENT_REFUSED'],
    [413, 'AUDIT_EVENT_REFUSED'],
    [422, 'AUDIT_EVENT_REFUSED'],
    [401, 'AUDIT_REPOSITORY_FAILED'],
    [404, 'AUDIT_REPOSITORY_FAILED'],
    [503, 'AUDIT_REPOSITORY_FAILED'],
  ])('with %i is %s', (status, code) => {
    expect(new RepositoryError(status)).toMatchObject({ http: status, code })
  })
})

const certificate = certificateFor('syslog.test')

describe.skipIf(!certificate)('a syslog server', () => {
  const { cert, key } = certificate!

  async function listening(): Promise<{ port: number; received: () => string; cut: () => void }> {
    const chunks: Buffer[] = []
    const sockets = new Set<{ destroy(): void }>()
    const server = createServer({ cert, key }, (socket) => {
      sockets.add(socket)
      socket.on('error', () => undefined)
      socket.on('data', (chunk: Buffer) => chunks.push(chunk))
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    opened.push(async () => {
      for (const socket of sockets) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
    })
    return {
      port: (server.address() as AddressInfo).port,
      received: () => Buffer.concat(chunks).toString(),
      cut: () => sockets.forEach((socket) => socket.destroy()),
    }
  }

  const sinkTo = (port: number, ca = cert): SyslogSink =>
    new SyslogSink({
      host: '127.0.0.1',
      port,
      tls: () => Promise.resolve({ ca, servername: 'syslog.test' }),
      source: SOURCE,
    })

  /** RFC 5425 4.3. */
  function frames(text: string): string[] {
    const bytes = Buffer.from(text)
    const found: string[] = []
    for (let at = 0; at < bytes.length;) {
      const space = bytes.indexOf(' ', at)
      const length = Number(bytes.toString('latin1', at, space))
      found.push(bytes.toString('utf8', space + 1, space + 1 + length))
      at = space + 1 + length
    }
    return found
  }

  it('gets each by TLS, framed by its length', async () => {
    const server = await listening()
    const sink = sinkTo(server.port)
    await sink.write(EVENTS)
    await sink[Symbol.asyncDispose]()
    await eventually(() => expect(frames(server.received())).toHaveLength(EVENTS.length))
    for (const frame of frames(server.received())) {
      expect(frame).toMatch(
        /^<85>1 2026-02-03T04:05:06\.789Z gateway\.test dimsegate \d+ DICOM\+RFC3881 - \ufeff<\?xml .*<\/AuditMessage>$/,
      )
    }
  })

  it('is connected to again when it was away', async () => {
    const server = await listening()
    const sink = sinkTo(server.port)
    await sink.write(EVENTS.slice(0, 1))
    await eventually(() => expect(frames(server.received())).toHaveLength(1))
    server.cut()
    await eventually(async () => {
      await sink.write(EVENTS.slice(1, 2))
      expect(frames(server.received()).length).toBeGreaterThan(1)
    })
    await sink[Symbol.asyncDispose]()
  })

  it('is trusted by what the files hold when it is connected to', async () => {
    using other = certificateFor('other.test')!
    const server = await listening()
    const held = [other.cert, cert]
    const tls = (): Promise<SyslogTls> => Promise.resolve({ ca: held.shift()!, servername: 'syslog.test' })
    const sink = new SyslogSink({ host: '127.0.0.1', port: server.port, tls, source: SOURCE })
    await expect(sink.write(EVENTS)).rejects.toThrow()
    await sink.write(EVENTS)
    await sink.write(EVENTS)
    await sink[Symbol.asyncDispose]()
    await eventually(() => expect(frames(server.received())).toHaveLength(2 * EVENTS.length))
    expect(held).toEqual([])
  })

  it.each(['TLSv1.2', 'TLSv1.3'] as const)(
    'that refuses our certificate under %s has taken nothing',
    async (version) => {
      using ours = certificateFor('gateway.test')!
      const server = createServer({ cert, key, ca: cert, requestCert: true, minVersion: version, maxVersion: version })
      server.on('tlsClientError', () => undefined)
      server.listen(0, '127.0.0.1')
      await once(server, 'listening')
      opened.push(() => new Promise((resolve) => server.close(resolve)))
      const sink = new SyslogSink({
        ...{ host: '127.0.0.1', port: (server.address() as AddressInfo).port, source: SOURCE },
        tls: () => Promise.resolve({ ca: cert, cert: ours.cert, key: ours.key, servername: 'syslog.test' }),
      })
      const error: unknown = await sink.write(EVENTS).catch((refusal: unknown) => refusal)
      expect((error as NodeJS.ErrnoException).code).toMatch(/ALERT|ECONNRESET|EPIPE|SYSLOG_ENDED/)
    },
  )

  it('that ends a connection at once has taken nothing, which is told by an error of its own', async () => {
    const server = createServer({ cert, key }, (socket) => socket.end())
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    opened.push(() => new Promise((resolve) => server.close(resolve)))
    await expect(sinkTo((server.address() as AddressInfo).port).write(EVENTS)).rejects.toMatchObject({
      code: 'SYSLOG_ENDED',
    })
  })

  it('that does not end a connection does not keep a stop waiting', async () => {
    const taken: TLSSocket[] = []
    const server = createServer({ cert, key, allowHalfOpen: true }, (socket) => {
      taken.push(socket.on('error', () => undefined).resume())
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    opened.push(() => {
      taken.forEach((socket) => socket.destroy())
      return new Promise((resolve) => server.close(resolve))
    })
    const sink = sinkTo((server.address() as AddressInfo).port)
    await sink.write(EVENTS)
    const began = performance.now()
    await sink[Symbol.asyncDispose]()
    expect(performance.now() - began).toBeLessThan(2 * END_MS)
  })

  it('that stays for the settling time is not waited for again', async () => {
    const server = await listening()
    const sink = sinkTo(server.port)
    const began = performance.now()
    await sink.write(EVENTS)
    const settled = performance.now()
    await sink.write(EVENTS)
    expect(settled - began).toBeGreaterThanOrEqual(SETTLING_MS - 1)
    expect(performance.now() - settled).toBeLessThan(SETTLING_MS)
    await sink[Symbol.asyncDispose]()
  })

  it('that shows another certificate gets nothing', async () => {
    using other = certificateFor('other.test')!
    const server = await listening()
    await expect(sinkTo(server.port, other.cert).write(EVENTS)).rejects.toThrow()
    expect(server.received()).toBe('')
  })
})
