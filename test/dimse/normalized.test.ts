import { describe, expect, it } from 'vitest'
import { Attribute } from '../../src/dicom/attributes.ts'
import { Dataset } from '../../src/dicom/dataset.ts'
import { SopClass, WellKnownInstance } from '../../src/dicom/uids.ts'
import { sendReport, takeReports, type EventReport } from '../../src/dimse/event-report.ts'
import {
  invoke,
  MAX_EARLY_REPORTS,
  type NormalizedOperation,
  type NormalizedRequest,
} from '../../src/dimse/normalized.ts'
import type { Association } from '../../src/network/association.ts'
import type { AcceptedContext } from '../../src/network/negotiation.ts'
import { failureOf, requestOf } from '../support/associations.ts'
import { commandSet, element, golden, IMPLICIT_LE, message } from '../support/golden.ts'
import { failOnLeaks } from '../support/leaks.ts'
import { ScriptedPeer, type Script } from '../support/scripted-peer.ts'

failOnLeaks()

const COMMITMENT = SopClass.storageCommitmentPushModel
const INSTANCE = WellKnownInstance.storageCommitmentPushModel
const ACTION: NormalizedRequest = {
  type: 'N-ACTION-RQ',
  requestedSopClassUid: COMMITMENT,
  requestedSopInstanceUid: INSTANCE,
  actionTypeId: 1,
}
const dataset = new Dataset().set(Attribute.TransactionUID, '1.2.34')
const bytes = element(0x00081195, '1.2.34')
const none = { '0800': 0x0101 }
const data = { '0800': 1 }

const response = (field: number, status: number, more: Parameters<typeof commandSet>[0] = {}) =>
  commandSet({ '0100': field, '0120': 1, '0900': status, ...none, ...more })
const report = (more: Parameters<typeof commandSet>[0] = {}) =>
  commandSet({ '0002': COMMITMENT, '0100': 0x100, '0110': 7, '1000': INSTANCE, '1002': 1, ...none, ...more })

/** An association to a peer that plays a script, and what it agreed to. */
async function withPeer(
  script: Script,
  test: (association: Association, context: AcceptedContext) => Promise<void>,
): Promise<void> {
  await using peer = await ScriptedPeer.listen(async (it) => {
    await it.accept()
    await script(it)
  })
  const contexts = [{ id: 1, abstractSyntax: COMMITMENT, transferSyntaxes: [IMPLICIT_LE] }]
  const association = await requestOf(peer, { contexts })
  try {
    await test(association, association.contexts.get(1)!)
  } finally {
    association.abort()
  }
  await peer.finished()
}

/** What a request comes to at a peer that gives these answers, and how the peer saw it end. */
async function invoked(
  answers: readonly Buffer[],
  operation: Partial<NormalizedOperation> = {},
  request = ACTION,
): Promise<{ outcome: Awaited<ReturnType<typeof invoke>> | Error; isAborted: boolean }> {
  let outcome: Awaited<ReturnType<typeof invoke>> | Error
  let isAborted = true
  await withPeer(
    async (it) => {
      await it.expectMessage()
      await it.send(...answers)
      await it.closed()
      it.close()
    },
    async (association, context) => {
      const whole = { timeout: 20_000, dataset, ...operation }
      outcome = await invoke(association, context, request, whole).catch((error: unknown) => error as Error)
      isAborted = !association.idle
    },
  )
  return { outcome: outcome!, isAborted }
}

describe('an operation of a normalized service', () => {
  it('goes out as the standard has it: N-ACTION of Storage Commitment', async () => {
    let sent: Buffer | undefined
    await withPeer(
      async (it) => {
        await it.expectMessage()
        sent = it.received
        await it.send(message(response(0x8130, 0), undefined))
        await it.closed()
        it.close()
      },
      async (association, context) => {
        expect(await invoke(association, context, ACTION, { timeout: 20_000, dataset })).toEqual({
          status: 0,
          dataset: undefined,
        })
      },
    )
    const command = commandSet({
      ...{ '0003': COMMITMENT, '0100': 0x130, '0110': 1, '0800': 1, '1001': INSTANCE, '1008': 1 },
    })
    expect(sent!.subarray(-message(command, bytes).length)).toEqual(message(command, bytes))
  })

  it.each<[string, NormalizedRequest, number, Parameters<typeof commandSet>[0]]>([
    [
      'N-CREATE',
      { type: 'N-CREATE-RQ', affectedSopClassUid: COMMITMENT, affectedSopInstanceUid: '1.2.3' },
      0x8140,
      { '1000': '1.2.3' },
    ],
    [
      'N-SET',
      { type: 'N-SET-RQ', requestedSopClassUid: COMMITMENT, requestedSopInstanceUid: '1.2.3' },
      0x8120,
      { '1000': '1.2.3' },
    ],
    [
      'N-GET',
      { type: 'N-GET-RQ', requestedSopClassUid: COMMITMENT, requestedSopInstanceUid: '1.2.3' },
      0x8110,
      { '1000': '1.2.3' },
    ],
  ])('%s comes to the data set that answers it', async (_, request, field, more) => {
    const { outcome } = await invoked([message(response(field, 0x0107, { ...data, ...more }), bytes)], {}, request)
    expect(outcome).toMatchObject({ status: 0x0107 })
    expect((outcome as { dataset: Dataset }).dataset.string(Attribute.TransactionUID)).toBe('1.2.34')
  })

  it('that is refused fails by its status, and leaves the association to others', async () => {
    const { outcome, isAborted } = await invoked([message(response(0x8130, 0x0213), undefined)])
    expect(outcome).toMatchObject({ code: 'DIMSE_STATUS', status: 0x0213, operation: 'N-ACTION' })
    expect(isAborted).toBe(false)
  })

  it.each([
    ['another response', [message(response(0x8140, 0), undefined)], 'PROTOCOL_ERROR'],
    ['a report that nobody takes', [message(report(), undefined)], 'PROTOCOL_ERROR'],
    ['a release', [golden.releaseRequest], 'CONNECTION_LOST'],
    ['a data set that is none', [message(response(0x8130, 0, data), Buffer.from('x'))], 'MALFORMED_DATA_SET'],
  ])('answered by %s ends the association', async (_, answers, code) => {
    const { outcome, isAborted } = await invoked(answers)
    expect(outcome).toMatchObject({ code })
    expect(isAborted).toBe(true)
  })

  it('that is not answered in time ends the association', async () => {
    const { outcome, isAborted } = await invoked([], { timeout: 50 })
    expect(outcome).toMatchObject({ code: 'PEER_TIMEOUT' })
    expect(isAborted).toBe(true)
  })

  it('takes reports that come before its response', async () => {
    const reports: EventReport[] = []
    const answers = [message(report({ '0800': 1 }), bytes), message(response(0x8130, 0), undefined)]
    const take = (one: EventReport): number => {
      reports.push(one)
      return 0
    }
    const { outcome } = await invoked(answers, { take })
    expect(outcome).toMatchObject({ status: 0 })
    expect(reports).toMatchObject([{ sopClass: COMMITMENT, sopInstance: INSTANCE, eventTypeId: 1 }])
    expect(reports[0]!.information!.string(Attribute.TransactionUID)).toBe('1.2.34')
  })
})

describe('reports in front of a response', () => {
  it('that do not end end the association', async () => {
    let count = 0
    await withPeer(
      async (it) => {
        await it.expectMessage()
        for (let n = 0; n <= MAX_EARLY_REPORTS; n++) await it.send(message(report(), undefined))
        await it.closed()
        it.close()
      },
      async (association, context) => {
        const take = (): number => (count++, 0)
        const failure = await failureOf(invoke(association, context, ACTION, { timeout: 20_000, dataset, take }))
        expect(failure).toMatchObject({ code: 'PROTOCOL_ERROR' })
      },
    )
    expect(count).toBe(MAX_EARLY_REPORTS)
  })
})

describe('reports', () => {
  const PATIENT = { timeout: 20_000, signal: new AbortController().signal }

  /** The statuses that a peer is answered by, whose messages are these. */
  async function answered(messages: readonly Buffer[], taken: readonly number[]): Promise<number[]> {
    const statuses: number[] = []
    await withPeer(
      async (it) => {
        for (const one of messages) {
          await it.send(one)
          const { field, messageId, command } = await it.expectMessage()
          expect([field, messageId]).toEqual([0x8100, 7])
          statuses.push(command.get('0900')!.readUInt16LE(0))
        }
        await it.send(golden.releaseRequest)
        await it.closed()
        it.close()
      },
      async (association) => {
        const left = [...taken]
        await takeReports(
          association,
          () => left.shift()!,
          () => false,
          PATIENT,
        )
      },
    )
    return statuses
  }

  it('are answered by the status of who takes them, until the peer releases the association', async () => {
    const one = message(report({ '0800': 1 }), bytes)
    expect(await answered([one, one], [0, 0x0110])).toEqual([0, 0x0110])
  })

  it('that cannot be read are answered by 0110, and those behind are taken', async () => {
    const broken = message(report({ '0800': 1 }), Buffer.from('no data set'))
    expect(await answered([broken, message(report(), undefined)], [0])).toEqual([0x0110, 0])
  })

  it('are taken until there are enough', async () => {
    await withPeer(
      async (it) => {
        await it.send(message(report(), undefined))
        await it.expectMessage()
        await it.released()
      },
      async (association) => {
        let count = 0
        await takeReports(
          association,
          () => (count++, 0),
          () => count > 0,
          PATIENT,
        )
        expect(association.idle).toBe(true)
        await association.release(1_000)
      },
    )
  })

  it('are waited for no longer than the signal says, and the association is released behind', async () => {
    await withPeer(
      (it) => it.released(),
      async (association) => {
        const waiting = takeReports(
          association,
          () => 0,
          () => false,
          { timeout: 20_000, signal: AbortSignal.timeout(20) },
        )
        expect(await failureOf(waiting)).toMatchObject({ name: 'TimeoutError' })
        await association.release(1_000)
      },
    )
  })

  it('that end the waiting are answered all the same', async () => {
    const enough = new AbortController()
    const statuses: number[] = []
    await withPeer(
      async (it) => {
        await it.send(message(report(), undefined))
        statuses.push((await it.expectMessage()).command.get('0900')!.readUInt16LE(0))
        await it.released()
      },
      async (association) => {
        const take = (): number => (enough.abort(), 0)
        await takeReports(association, take, () => enough.signal.aborted, { timeout: 20_000, signal: enough.signal })
        await association.release(1_000)
      },
    )
    expect(statuses).toEqual([0])
  })

  it('end by what is no report', async () => {
    await withPeer(
      async (it) => {
        await it.send(golden.echoRequest)
        await it.closed()
        it.close()
      },
      async (association) => {
        const waiting = takeReports(
          association,
          () => 0,
          () => false,
          PATIENT,
        )
        expect(await failureOf(waiting)).toMatchObject({ code: 'PROTOCOL_ERROR' })
      },
    )
  })

  it('go out as the standard has them, and come to the status of the response', async () => {
    let sent: Buffer | undefined
    await withPeer(
      async (it) => {
        await it.expectMessage()
        sent = it.received
        await it.send(message(commandSet({ '0100': 0x8100, '0120': 1, '0900': 0x0110, ...none }), undefined))
        await it.closed()
        it.close()
      },
      async (association, context) => {
        const one = { sopClass: COMMITMENT, sopInstance: INSTANCE, eventTypeId: 2, information: dataset }
        expect(await sendReport(association, context, one, { timeout: 20_000 })).toBe(0x0110)
      },
    )
    const command = commandSet({
      ...{ '0002': COMMITMENT, '0100': 0x100, '0110': 1, '0800': 1, '1000': INSTANCE, '1002': 2 },
    })
    expect(sent!.subarray(-message(command, bytes).length)).toEqual(message(command, bytes))
  })
})
