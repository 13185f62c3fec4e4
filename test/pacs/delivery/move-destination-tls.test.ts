import type { ConnectionOptions } from 'node:tls'
import { afterAll, describe, expect, it } from 'vitest'
import { parseConfig } from '../../../src/config/config.ts'
import { MAX_NEWCOMERS_PER_ADDRESS } from '../../../src/network/newcomers.ts'
import { MoveDestination, type DestinationLimits } from '../../../src/pacs/delivery/move-destination.ts'
import { readListenerTls } from '../../../src/pacs/tls-files.ts'
import { certificateFor } from '../../support/certificate.ts'
import { connectionsTo } from '../../support/connections.ts'
import { eventually } from '../../support/eventually.ts'
import { keeper } from '../../support/kept.ts'
import { expecting } from '../../support/expected-move.ts'
import { failOnLeaks } from '../../support/leaks.ts'
import { freePort } from '../../support/ports.ts'
import { published } from '../../support/published.ts'
import { StorageCaller } from '../../support/scripted-mover.ts'
import type { PeerConnection } from '../../support/scripted-peer.ts'
import { sliceUid } from '../../support/slices.ts'

failOnLeaks()

const [gateway, pacs, stranger] = ['gateway.localhost', 'pacs.test', 'stranger.test'].map(certificateFor)
const haveOpenssl = gateway && pacs && stranger
const kept = keeper()
const refusals = published('dimsegate:refused-store')
const refused = (): string[] => refusals.map(({ reason }) => reason)

afterAll(() => {
  for (const one of [gateway, pacs, stranger]) one?.[Symbol.dispose]()
})

type Settings = NonNullable<ReturnType<typeof dimse>['tls']>

function dimse(port: number, tls: object): ReturnType<typeof parseConfig>['dimse'] {
  const archives = [{ aeTitle: 'PACS', host: '127.0.0.1', port: 1 }]
  return parseConfig({ dimse: { host: '127.0.0.1', port, enabled: true, tls }, archives }).dimse
}

const settings = (tls: object = {}): Settings => dimse(0, { ...gateway!.files, ...tls }).tls!

/** A listener with a certificate of its own that expects a study of PACS; `delivered` are the instances that came. */
async function listening(tls: object = {}, limits: DestinationLimits = {}): Promise<Listener> {
  const port = await freePort()
  const destination = new MoveDestination(dimse(port, { ...gateway!.files, ...tls }), {
    limits,
    tls: await readListenerTls(settings(tls)),
  })
  kept(destination)
  destination.know({
    aeTitle: 'PACS',
    host: '127.0.0.2',
    aeTitles: [],
    addresses: undefined,
    timeout: 30_000,
    ownSyntaxes: [],
  })
  await destination.listen()
  const delivered = expecting(destination)
  return { destination, port, delivered }
}

interface Listener {
  readonly destination: MoveDestination
  readonly port: number
  readonly delivered: string[]
}

const trusting = (): ConnectionOptions => ({ ca: gateway!.cert, servername: 'gateway.localhost' })

async function calling(port: number, tls?: ConnectionOptions): Promise<StorageCaller> {
  const caller = await StorageCaller.open(port, {}, tls)
  kept(caller)
  return caller
}

async function silentCaller(port: number): Promise<PeerConnection> {
  const peer = await StorageCaller.connect(port)
  kept({ [Symbol.asyncDispose]: async () => void peer.socket.destroy() })
  return peer
}

/** Whether an instance gets through. */
async function gets(port: number, tls?: ConnectionOptions): Promise<boolean> {
  const caller = await calling(port, tls).catch(() => undefined)
  return caller?.answer?.[0] === 2 && (await caller.store({ number: 1 })) === 0
}

describe.skipIf(!haveOpenssl)('our listener by TLS', () => {
  it('takes what was asked for', async () => {
    const { destination, port, delivered } = await listening()
    expect(destination.isSecured).toBe(true)
    expect(await gets(port, trusting())).toBe(true)
    expect(delivered).toEqual([sliceUid(1)])
    expect(refused()).toEqual([])
  })

  it('knows which of the connections have an association: they make no room', async () => {
    const { port } = await listening()
    for (let n = 0; n < MAX_NEWCOMERS_PER_ADDRESS + 1; n++) {
      expect((await calling(port, trusting())).answer?.[0]).toBe(2)
    }
    expect(refused()).toEqual([])
    await Promise.all(Array.from({ length: MAX_NEWCOMERS_PER_ADDRESS + 1 }, () => silentCaller(port)))
    await eventually(() => expect(refused()).toEqual(['made-room']))
  })

  it('takes nothing without TLS, and says so', async () => {
    const { port, delivered } = await listening()
    expect(await gets(port)).toBe(false)
    await eventually(() => expect(refused()).toEqual(['tls-failed']))
    expect(delivered).toEqual([])
    expect(await gets(port, trusting())).toBe(true)
  })

  it('takes only who shows a certificate that it knows, where it asks for one', async () => {
    const { port, delivered } = await listening({ ca: pacs!.files.cert })
    const { key, cert } = pacs!
    expect(await gets(port, { ...trusting(), key, cert })).toBe(true)
    expect(await gets(port, trusting())).toBe(false)
    expect(await gets(port, { ...trusting(), key: stranger!.key, cert: stranger!.cert })).toBe(false)
    await eventually(() => expect(refused()).toEqual(['tls-failed', 'tls-failed']))
    expect(refusals.map(({ code }) => code)).toEqual([
      'ERR_SSL_PEER_DID_NOT_RETURN_A_CERTIFICATE',
      'DEPTH_ZERO_SELF_SIGNED_CERT',
    ])
    expect(delivered).toEqual([sliceUid(1)])
  })

  it.each([
    [{}, 'TLSv1.1'],
    [{ minVersion: 'TLSv1.3' }, 'TLSv1.2'],
  ] as const)('set as %o does not agree to %s', async (tls, maxVersion) => {
    const { port } = await listening(tls)
    const old = { ...trusting(), minVersion: 'TLSv1', maxVersion, ciphers: 'DEFAULT@SECLEVEL=0' } as const
    expect(await gets(port, old)).toBe(false)
    await eventually(() => expect(refused()).toEqual(['tls-failed']))
  })

  it('still wants to know who calls: TLS is no AE title', async () => {
    const { port } = await listening()
    const caller = await StorageCaller.open(port, { callingAeTitle: 'ROGUE' }, trusting())
    kept(caller)
    expect(caller.rejection).toEqual([1, 1, 3])
    expect(refused()).toEqual(['unknown-caller'])
  })

  it('lets go of who leaves at once, without a word', async () => {
    const { port } = await listening()
    for (let n = 0; n < 50; n++) (await silentCaller(port)).socket.destroy()
    await eventually(() => expect(connectionsTo(port)).toBe(0))
    expect(refused()).toEqual([])
    expect(await gets(port, trusting())).toBe(true)
  })

  it('cuts who says nothing', async () => {
    const { port } = await listening({}, { artim: 300 })
    const silent = await silentCaller(port)
    await silent.closed()
    await eventually(() => expect(refused()).toEqual(['tls-failed']))
  })

  it('ends with callers that have not come to terms', async () => {
    const { destination, port } = await listening()
    const silent = await silentCaller(port)
    const ending = destination[Symbol.asyncDispose]()
    await silent.closed()
    silent.socket.destroy()
    await ending
  })
})
