import type { Proposal } from '../pacs/pool/proposal.ts'
import { transferSyntax } from '../dicom/transfer-syntax.ts'
import { SopClass } from '../dicom/uids.ts'
import { Scu } from '../dimse/scu.ts'
import { contextOf, getProposal } from '../pacs/contexts.ts'
import { identifier, selectionKeys, UIDS_ONLY } from '../pacs/search/query.ts'
import { contextsLimited } from './findings-reach.ts'
import * as findings from './findings-transfer.ts'
import { CANCEL_MS, type Probe } from './probe.ts'
import type { Finding, Level } from './report.ts'
import type { Sample } from './sample.ts'

/** How a way to fetch an instance did: how grave a failure is depends on the other way. */
export interface Outcome {
  /** Undefined where it was not tried. */
  readonly works: boolean | undefined
  /** What is to be said, where it is not said already. */
  finding(level: Level): Finding | undefined
}

/** What is found already says that it was not tried. */
export const NOT_TRIED: Outcome = { works: undefined, finding: () => undefined }

/** C-GET of one instance, as it is stored or uncompressed. */
export async function get(probe: Probe, sample: Sample): Promise<Outcome> {
  let failure: Outcome = NOT_TRIED
  let bytes = 0
  const outcome = await probe.step(
    'C-GET',
    (signal) => getWithin(probe, sample, (count) => (bytes += count), signal),
    (error) => {
      failure = { works: false, finding: (level) => findings.notGot(probe.parties, level, { error, bytes }) }
      return undefined
    },
  )
  return outcome ?? failure
}

async function getWithin(
  probe: Probe,
  { study, series, instance, sopClass }: Sample,
  came: (bytes: number) => void,
  signal: AbortSignal,
): Promise<Outcome> {
  const { quirks, timeouts, name } = probe.config
  const most = probe.contexts.size
  const propose = (maxContexts: number): Proposal =>
    getProposal({
      classes: sopClass === undefined ? [] : [sopClass],
      compressed: true,
      // As many contexts as a retrieve of a study has.
      others: true,
      maxContexts,
      roles: quirks.getRoles ?? 'scp',
    })
  const opened = await probe.contexts.open(propose, (proposal) => probe.open(proposal, signal), { signal })
  return probe.using([opened], signal, async ([association = opened]) => {
    const [proposed, stood] = [propose(most), association.requested].map(({ contexts }) => contexts.length)
    if (stood! < proposed!) probe.add(contextsLimited(proposed!, stood!))
    const context = contextOf(association, SopClass.studyRootGet, name, 'C-GET')
    const isScp = association.peer.roles.some(
      (role) => (sopClass === undefined || role.sopClass === sopClass) && role.scp,
    )
    const request = identifier({ level: 'IMAGE', keys: selectionKeys(study, series, [instance]) }, UIDS_ONLY)
    const start = performance.now()
    const operation = { timeout: probe.within(timeouts.response), signal }
    let arrival: findings.Arrival | undefined
    for await (const event of new Scu(association, { cancelGrace: CANCEL_MS }).get(context, request, operation)) {
      if (event.kind === 'end') {
        const whole = arrival
        if (whole) return { works: true, finding: () => findings.got(whole, isScp) }
        return { works: false, finding: (level) => findings.gotNothing(level, event.status, isScp) }
      }
      let bytes = 0
      for await (const chunk of event.body) {
        bytes += chunk.length
        came(chunk.length)
      }
      arrival = { bytes, syntax: transferSyntax(event.syntax.uid).name, milliseconds: performance.now() - start }
    }
    throw new Error('A C-GET without an end')
  })
}
