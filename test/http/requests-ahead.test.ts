import { EventEmitter } from 'node:events'
import { describe, expect, it, vi } from 'vitest'
import {
  MAX_REQUESTS,
  MAX_REQUESTS_AHEAD,
  MAX_REQUESTS_OF_CLIENT,
  RequestsAhead,
} from '../../src/http/requests-ahead.ts'
import { newApiKey } from '../../src/http/auth/api-keys.ts'
import type { HttpContext } from '../../src/http/context.ts'
import { instanceFile } from '../support/dicom-files.ts'
import { startSetup } from '../support/gateway.ts'
import { failOnLeaks } from '../support/leaks.ts'
import { RawClient } from '../support/raw-http.ts'

failOnLeaks()

const REQUEST = 'GET /dicomweb/studies HTTP/1.1\r\nHost: gateway.localhost\r\n\r\n'
const statuses = ({ text }: RawClient): string[] => [...text.matchAll(/HTTP\/1\.1 (\d{3}) /g)].map((match) => match[1]!)

describe('a client that sends requests ahead of their answers', () => {
  it('has as many under way as one client may, and is told so of the others', async () => {
    await using setup = await startSetup({ files: [instanceFile()] })
    await using client = await RawClient.connect(setup.port)
    const many = 10 * MAX_REQUESTS_AHEAD
    await client.send(REQUEST.repeat(many))
    await client.until((one) => statuses(one).length === many)
    const served = statuses(client).filter((status) => status === '200').length
    expect(served).toBeGreaterThanOrEqual(MAX_REQUESTS_AHEAD)
    expect(statuses(client).filter((status) => status === '503')).toHaveLength(many - served)
    expect(client.text).toContain('"code":"TOO_MANY_REQUESTS_AHEAD"')
  })

  it('is served again when it has its answers', async () => {
    await using setup = await startSetup({ files: [instanceFile()] })
    await using client = await RawClient.connect(setup.port)
    for (let round = 1; round <= 3; round++) {
      await client.send(REQUEST.repeat(MAX_REQUESTS_AHEAD))
      await client.until((one) => statuses(one).length === round * MAX_REQUESTS_AHEAD)
    }
    expect(new Set(statuses(client))).toEqual(new Set(['200']))
  })
})

describe('requests under way', () => {
  interface Pending {
    readonly env: HttpContext['env']
    readonly end: () => void
  }
  /** A request of a connection; of one of its own unless told. */
  const pending = (socket = new EventEmitter()): Pending => {
    const outgoing = new EventEmitter()
    const env = { incoming: { socket }, outgoing } as unknown as HttpContext['env']
    return { env, end: () => void outgoing.emit('close') }
  }

  it('are as many as one client may have, over all its connections', () => {
    const ahead = new RequestsAhead()
    const all = Array.from({ length: MAX_REQUESTS_OF_CLIENT }, () => pending())
    for (const { env } of all) ahead.enterAs('one', env)
    expect(() => ahead.enterAs('one', pending().env)).toThrow(/of this client/)
    ahead.enterAs('other', pending().env)
    all[0]!.end()
    ahead.enterAs('one', pending().env)
    expect(() => ahead.enterAs('one', pending().env)).toThrow(/of this client/)
  })

  it('are none of those who are refused, whether they read that or not', async () => {
    const { key, hash } = newApiKey()
    await using setup = await startSetup({ files: [instanceFile()], others: { auth: { keys: [{ name: 'k', hash }] } } })
    const leave = vi.fn()
    using entering = vi.spyOn(RequestsAhead.prototype, 'enter').mockReturnValue(leave)
    await fetch(`${setup.url}/studies`, { headers: { Authorization: `Bearer ${key}` } }).then((one) => one.text())
    expect([entering.mock.calls.length, leave.mock.calls.length]).toEqual([1, 0])
    await fetch(`${setup.url}/studies`).then((one) => one.text())
    expect([entering.mock.calls.length, leave.mock.calls.length]).toEqual([2, 1])
  })

  it('that were counted off are not counted off again at their end', () => {
    const ahead = new RequestsAhead()
    const left = pending()
    const leave = ahead.enter(left.env)
    leave()
    left.end()
    for (let n = 0; n < MAX_REQUESTS; n++) ahead.enter(pending().env)
    expect(() => ahead.enter(pending().env)).toThrow(/The service has/)
  })

  it('are as many as all clients may have together', () => {
    const ahead = new RequestsAhead()
    const all = Array.from({ length: MAX_REQUESTS }, () => pending())
    for (const { env } of all) ahead.enter(env)
    expect(() => ahead.enter(pending().env)).toThrow(
      expect.objectContaining({ status: 503, code: 'TOO_MANY_REQUESTS' }),
    )
    for (const { end } of all) end()
    for (let round = 0; round < 2; round++) {
      const again = Array.from({ length: MAX_REQUESTS }, () => pending())
      for (const { env } of again) ahead.enter(env)
      for (const { end } of again) end()
    }
  })

  it('that are refused do not count', () => {
    const ahead = new RequestsAhead()
    const socket = new EventEmitter()
    const all = Array.from({ length: MAX_REQUESTS_AHEAD }, () => pending(socket))
    for (const { env } of all) ahead.enter(env)
    for (let n = 0; n < 10; n++) {
      const refused = pending(socket)
      expect(() => ahead.enter(refused.env)).toThrow(/of this connection/)
      refused.end()
    }
    all[0]!.end()
    ahead.enter(pending(socket).env)
    expect(() => ahead.enter(pending(socket).env)).toThrow(/of this connection/)
  })
})
