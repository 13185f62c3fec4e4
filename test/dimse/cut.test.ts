import { describe, expect, it, vi } from 'vitest'
import { Attribute } from '../../src/dicom/attributes.ts'
import type { Bytes } from '../../src/dicom/bytes.ts'
import { Dataset } from '../../src/dicom/dataset.ts'
import { serve, type Handlers } from '../../src/dimse/scp.ts'
import { Scu } from '../../src/dimse/scu.ts'
import type { Association } from '../../src/network/association.ts'
import type { AcceptedContext } from '../../src/network/negotiation.ts'
import { Acceptor, requestOf } from '../support/associations.ts'
import {
  associateAccept,
  associateRequest,
  commandSet,
  CT,
  element,
  findResponse,
  getResponse,
  IMPLICIT_LE,
  message,
  storeRequest,
  STUDY_ROOT_FIND,
  STUDY_ROOT_GET,
} from '../support/golden.ts'
import { failOnLeaks } from '../support/leaks.ts'
import { ScriptedCaller, ScriptedPeer, type PeerOptions, type Script } from '../support/scripted-peer.ts'

// security.md 23: the connection cut at every byte of an exchange is never a hang, a leak, or a result that looks whole.

failOnLeaks()
// Hundreds of associations each: seconds, and more on a busy machine.
vi.setConfig({ testTimeout: 120_000 })

/** Reached only by a hang: then the test fails. */
const OPERATION = { timeout: 60_000 }
/** At once: more than that only waits for each other. */
const PARALLEL = 8

const contexts = [
  { id: 1, abstractSyntax: STUDY_ROOT_FIND, transferSyntaxes: [IMPLICIT_LE] },
  { id: 3, abstractSyntax: STUDY_ROOT_GET, transferSyntaxes: [IMPLICIT_LE] },
  { id: 5, abstractSyntax: CT, transferSyntaxes: [IMPLICIT_LE] },
]
const ACCEPT_BYTES = associateAccept(associateRequest({ contexts })).length
const query = new Dataset().set(Attribute.StudyInstanceUID, '1.2')
const contextOf = (association: Association, abstractSyntax: string): AcceptedContext =>
  [...association.contexts.values()].find((one) => one.abstractSyntax === abstractSyntax)!

interface Outcome {
  readonly kind: 'whole' | 'failed'
  readonly code?: unknown
  readonly seen: readonly string[]
}

/** What an operation brought before it ended, and how it ended. */
async function outcomeOf(operation: (seen: string[]) => Promise<void>): Promise<Outcome> {
  const seen: string[] = []
  try {
    await operation(seen)
    return { kind: 'whole', seen }
  } catch (error) {
    return { kind: 'failed', code: (error as { code?: unknown }).code, seen }
  }
}

/**
 * Runs an exchange cut at each offset behind the negotiation, which has tests of its own: a few at a time,
 * and with nothing cut to learn how long it is.
 */
async function atEveryOffset(
  run: (options: PeerOptions) => Promise<{ outcome: Outcome; sent: number }>,
  check: (outcome: Outcome, cutAfter: number) => void,
  whole: readonly string[],
  from: number,
): Promise<void> {
  const { outcome, sent } = await run({})
  expect(outcome).toEqual({ kind: 'whole', seen: whole })
  expect(sent).toBeGreaterThan(300)
  let next = from
  const worker = async (): Promise<void> => {
    while (next < sent) {
      const cutAfter = next++
      const { outcome: cut } = await run({ cutAfter, cut: cutAfter % 2 === 0 ? 'fin' : 'reset' })
      check(cut, cutAfter)
    }
  }
  await Promise.all(Array.from({ length: PARALLEL }, worker))
  // Cut behind its last byte it is whole.
  expect((await run({ cutAfter: sent })).outcome).toEqual(outcome)
}

describe('the peer’s side of', () => {
  async function run(
    script: Script,
    operation: (association: Association, seen: string[]) => Promise<void>,
    options: PeerOptions,
  ): Promise<{ outcome: Outcome; sent: number }> {
    await using peer = await ScriptedPeer.listen(async (it) => {
      await it.accept()
      await script(it)
      await it.closed()
      it.close()
    }, options)
    let opened: Association | undefined
    const outcome = await outcomeOf(async (seen) => {
      opened = await requestOf(peer, { contexts })
      await operation(opened, seen)
    })
    const sent = peer.connection().bytesSent
    opened?.abort()
    await opened?.closed
    return { outcome, sent }
  }

  const check = (whole: readonly string[]) => (outcome: Outcome, cutAfter: number) => {
    // What came before the cut came as it was; that it is not all is said.
    expect({ cutAfter, ...outcome }).toMatchObject({
      kind: 'failed',
      code: 'CONNECTION_LOST',
      seen: whole.slice(0, outcome.seen.length),
    })
  }

  it('a C-FIND', async () => {
    const script: Script = async (it) => {
      await it.expectMessage()
      for (const uid of ['1.2.1\0', '1.2.22']) await it.send(findResponse({ data: element(0x0020000d, uid) }))
      await it.send(findResponse())
    }
    const find = async (association: Association, seen: string[]): Promise<void> => {
      for await (const one of new Scu(association).find(contextOf(association, STUDY_ROOT_FIND), query, OPERATION)) {
        seen.push(one.string(Attribute.StudyInstanceUID)!)
      }
    }
    const whole = ['1.2.1', '1.2.22']
    await atEveryOffset((options) => run(script, find, options), check(whole), whole, ACCEPT_BYTES)
  })

  it('a C-GET', async () => {
    const instances = { '1.2.1': 'first instance', '1.2.2': 'second' }
    const script: Script = async (it) => {
      await it.expectMessage()
      await it.send(getResponse({ contextId: 3, status: 0xff00, remaining: 2 }))
      for (const [sopInstance, content] of Object.entries(instances)) {
        const framing = { contextId: 5, fragments: [40, 6], emptyLast: sopInstance === '1.2.2' }
        await it.send(storeRequest({ sopInstance, data: Buffer.from(content), ...framing }))
        await it.expectMessage()
      }
      const failed = element(0x00080058, '1.2.3\0')
      await it.send(getResponse({ contextId: 3, status: 0xb000, completed: 2, failed: 1, data: failed }))
    }
    const get = async (association: Association, seen: string[]): Promise<void> => {
      for await (const event of new Scu(association).get(contextOf(association, STUDY_ROOT_GET), query, OPERATION)) {
        if (event.kind === 'end') seen.push(`${event.status} ${event.failedInstances.join()}`)
        else {
          const chunks: Bytes[] = []
          for await (const chunk of event.body) chunks.push(chunk)
          seen.push(Buffer.concat(chunks).toString())
        }
      }
    }
    const whole = [...Object.values(instances), '45056 1.2.3']
    await atEveryOffset((options) => run(script, get, options), check(whole), whole, ACCEPT_BYTES)
  })
})

describe('the requestor’s side, served by us, of', () => {
  async function run(
    script: Script,
    handlers: (seen: string[]) => Handlers,
    options: PeerOptions,
  ): Promise<{ outcome: Outcome; sent: number }> {
    await using acceptor = await Acceptor.listen()
    await using caller = await ScriptedCaller.connect(
      acceptor.port,
      async (it) => {
        await it.send(associateRequest({ contexts }))
        await it.expect(2)
        await script(it)
        await it.send(Buffer.from('05000000000400000000', 'hex'))
        await it.expect(6)
        it.close()
      },
      options,
    )
    const outcome = await outcomeOf(async (seen) => {
      const association = await acceptor.association()
      await serve(association, handlers(seen), { idleTimeout: OPERATION.timeout })
      await association.closed
    })
    await acceptor.outcome().then((association) => association?.closed)
    return { outcome, sent: caller.connection.bytesSent }
  }

  const check = (whole: readonly string[]) => (outcome: Outcome, cutAfter: number) => {
    expect({ cutAfter, kind: outcome.kind, seen: outcome.seen }).toEqual({
      cutAfter,
      kind: 'failed',
      seen: whole.slice(0, outcome.seen.length),
    })
    expect([undefined, 'CONNECTION_LOST', 'ASSOCIATION_ABORTED']).toContain(outcome.code)
  }

  it('a C-FIND and a C-STORE', async () => {
    const find = { '0002': STUDY_ROOT_FIND, '0100': 0x20, '0110': 1, '0700': 0, '0800': 1 }
    const script: Script = async (it) => {
      await it.send(message(commandSet(find), element(0x0020000d, '1.2.1\0'), { fragments: [60, 5] }))
      await it.expectMessage()
      const framing = { contextId: 5, fragments: [60, 4] }
      await it.send(storeRequest({ data: Buffer.from('an instance'), ...framing }))
      await it.expectMessage()
    }
    const handlers = (seen: string[]): Handlers => ({
      find: (identifier) => {
        seen.push(identifier.string(Attribute.StudyInstanceUID)!)
        return Promise.resolve(0)
      },
      store: async ({ body }) => {
        const chunks: Bytes[] = []
        for await (const chunk of body) chunks.push(chunk)
        seen.push(Buffer.concat(chunks).toString())
        return 0
      },
    })
    const whole = ['1.2.1', 'an instance']
    await atEveryOffset((options) => run(script, handlers, options), check(whole), whole, 0)
  })
})
