import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { setTimeout as delay } from 'node:timers/promises'
import { SopClass } from '../dicom/uids.ts'
import { isLoopback } from '../network/loopback.ts'
import { Scu, type RetrieveEnd } from '../dimse/scu.ts'
import { Status, StatusError } from '../dimse/status.ts'
import { contextOf, moveProposal } from '../pacs/contexts.ts'
import { delivererOf } from '../pacs/delivery/deliverer.ts'
import type { RefusalReason, RefusedStoreEvent } from '../pacs/delivery/events.ts'
import { ListenerError } from '../pacs/delivery/listener-error.ts'
import type { ExpectedMove } from '../pacs/delivery/match.ts'
import { MoveDestination } from '../pacs/delivery/move-destination.ts'
import { identifier, selectionKeys, UIDS_ONLY } from '../pacs/search/query.ts'
import { TlsFileError } from '../pacs/tls-files.ts'
import { NOT_TRIED, type Outcome } from './fetch.ts'
import * as findings from './findings-transfer.ts'
import { CANCEL_MS, type Probe } from './probe.ts'
import { isTimeout, systemCode } from './reason.ts'
import type { Level } from './report.ts'
import type { Sample } from './sample.ts'

/** After the final response the instance may still be under way, in ms. */
const STRAGGLER_MS = 2_000

/**
 * C-MOVE of one instance to our own listener: that of the service where it is open, else one that is opened for it and
 * closed again.
 */
export async function move(probe: Probe, sample: Sample): Promise<Outcome> {
  if (!probe.service) {
    const opened = await ownDestination(probe)
    if ('works' in opened) return opened
    await using own = opened
    own.know(delivererOf(probe.config))
    return await moveTo(own, probe, sample)
  }
  const { destination } = probe.service
  // Opened, it would stay open, and change what the service tries.
  if (destination.enabled && !destination.isOpen) return { works: undefined, finding: () => findings.listenerNotOpen() }
  return moveTo(destination, probe, sample)
}

async function ownDestination({ dimse }: Probe): Promise<MoveDestination | Outcome> {
  try {
    return await MoveDestination.open(dimse)
  } catch (error) {
    if (!(error instanceof TlsFileError)) throw error
    return { works: false, finding: (level) => findings.listenerTlsUnusable(level, error) }
  }
}

async function moveTo(destination: MoveDestination, probe: Probe, sample: Sample): Promise<Outcome> {
  if (!destination.enabled) return { works: false, finding: () => findings.listenerOff() }
  const { aeTitle, port } = probe.dimse
  const at = { aeTitle, host: probe.listenerHost, port, isSecured: destination.isSecured }
  if (isLoopback(at.host) && !isLoopback(probe.config.host) && !isLoopback(probe.ourHost ?? '')) {
    return { works: false, finding: (level) => findings.listenerLocal(at, level) }
  }
  const seen: Seen = { bytes: 0, refusals: [] }
  // In a service others may call meanwhile.
  const note = (event: unknown): void => {
    const refusal = event as RefusedStoreEvent
    const { reason, address } = refusal
    // Who has gone for want of TLS has no address any more.
    const isNameless = reason === 'tls-failed' && address === undefined
    const isTheirs = !probe.service || isNameless || address === probe.theirHost
    if (isTheirs) seen.refusals.push(refusal)
  }
  subscribe('dimsegate:refused-store', note)
  try {
    at.port = await destination.listen()
    let failure: { readonly error: unknown } | undefined
    const end = await probe.step(
      'C-MOVE',
      (signal) => moveWithin(probe, destination, sample, seen, signal),
      (error) => {
        failure = { error }
        return undefined
      },
    )
    const how = end ?? failure
    return how ? outcomeOf(probe, at, seen, how) : NOT_TRIED
  } catch (error) {
    if (!(error instanceof ListenerError)) throw error
    const system = systemCode(error)
    const finding = (level: Level) =>
      system === 'EADDRINUSE' ? findings.portTaken(at, level) : findings.noListener(at, level, system)
    return { works: false, finding }
  } finally {
    unsubscribe('dimsegate:refused-store', note)
  }
}

/** What our listener saw meanwhile. */
interface Seen {
  arrival?: findings.Arrival
  bytes: number
  readonly refusals: RefusedStoreEvent[]
}

async function moveWithin(
  probe: Probe,
  destination: MoveDestination,
  { study, series, instance }: Sample,
  seen: Seen,
  signal: AbortSignal,
): Promise<RetrieveEnd> {
  const { name, aeTitle, callingAeTitle, timeouts } = probe.config
  return probe.associated(moveProposal, signal, async (association) => {
    const context = contextOf(association, SopClass.studyRootMove, name, 'C-MOVE')
    const start = performance.now()
    const arrived = Promise.withResolvers<undefined>()
    const move: ExpectedMove = {
      archiveAeTitle: aeTitle,
      callingAeTitle,
      messageIds: new Set(),
      refused: () => undefined,
      selection: { study, series, instance },
      lacks: () => seen.arrival === undefined,
      deliver: async ({ body, syntax }) => {
        for await (const chunk of body) seen.bytes += chunk.length
        seen.arrival = { bytes: seen.bytes, syntax: syntax.name, milliseconds: performance.now() - start }
        arrived.resolve(undefined)
        return Status.success
      },
    }
    const done = destination.moves.expect(move)
    try {
      const messageId = await destination.moves.begin(move)
      const keys = selectionKeys(study, series, [instance])
      const request = identifier({ level: 'IMAGE', keys }, UIDS_ONLY)
      const target = { destination: destination.aeTitle, messageId }
      const operation = { timeout: probe.within(timeouts.move), signal }
      const end = await new Scu(association, { cancelGrace: CANCEL_MS }).move(context, request, target, operation)
      const counted = (end.completed ?? 0) + (end.warning ?? 0) > 0 || end.status === Status.success
      if (counted) await Promise.race([arrived.promise, delay(STRAGGLER_MS, undefined, { signal, ref: false })])
      return end
    } finally {
      done()
    }
  })
}

/** It was not for want of a way to us. */
const refusing: readonly number[] = [
  Status.notAuthorized,
  Status.sopClassNotSupported,
  Status.unrecognizedOperation,
  Status.identifierDoesNotMatchSopClass,
]

function outcomeOf(
  probe: Probe,
  at: findings.Listener,
  { arrival, bytes, refusals }: Seen,
  end: RetrieveEnd | { readonly error: unknown },
): Outcome {
  if (arrival) return { works: true, finding: () => findings.moved(arrival, at) }
  const failed = (finding: Outcome['finding']): Outcome => ({ works: false, finding })
  if ('status' in end && end.status === Status.moveDestinationUnknown) {
    return failed((level) => findings.destinationUnknown(at, level))
  }
  const refusedFor = (reason: RefusalReason): RefusedStoreEvent | undefined =>
    refusals.find((refusal) => refusal.reason === reason)
  const withoutTls = refusedFor('tls-failed')
  if (withoutTls) return failed((level) => findings.movedWithoutTls(at, level, withoutTls.code ?? 'unknown'))
  const stranger = refusedFor('unknown-caller')
  if (stranger) return failed((level) => findings.movedByStranger(probe.parties, level, stranger))
  if (refusedFor('not-dicom')) return failed((level) => findings.movedNotDicom(at, level))
  if ('error' in end) {
    if (isTimeout(end.error) && bytes === 0) return failed((level) => findings.nothingArrived(at, level, undefined))
    return failed((level) => findings.moveFailed(probe.parties, at, level, { error: end.error, bytes }))
  }
  if (refusing.includes(end.status) || bytes > 0) {
    const error = new StatusError(end.response)
    return failed((level) => findings.moveFailed(probe.parties, at, level, { error, bytes }))
  }
  return failed((level) => findings.nothingArrived(at, level, end.status))
}
