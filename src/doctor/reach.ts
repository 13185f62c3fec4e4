import { SopClass, type Uid } from '../dicom/uids.ts'
import { Scu } from '../dimse/scu.ts'
import type { Association } from '../network/association.ts'
import { Transport, type TlsOptions } from '../network/transport.ts'
import { negotiated, queryProposal, type QueryOptions } from '../pacs/archive.ts'
import { contextOf, moveProposal } from '../pacs/contexts.ts'
import * as findings from './findings-reach.ts'
import { options } from './findings-query.ts'
import type { Probe } from './probe.ts'

/** C-ECHOs timed, of which the middle one counts. */
const ECHOES = 5

/** TCP, and TLS if set. False when there is no connection. */
export async function reach(probe: Probe): Promise<boolean> {
  if (!(await connect(probe, undefined))) return false
  return probe.tls === undefined || (await connect(probe, probe.tls))
}

async function connect(probe: Probe, tls: TlsOptions | undefined): Promise<boolean> {
  const { host, port, timeouts } = probe.config
  const connected = await probe.step(
    tls ? 'TLS' : 'TCP connection',
    async (signal) => {
      const start = performance.now()
      const timeout = probe.within(timeouts.connect)
      const transport = await Transport.connect({ host, port }, { timeout, signal, tls })
      const milliseconds = performance.now() - start
      // An IPv4 address on a socket that takes both kinds.
      probe.ourHost = transport.localAddress
      probe.theirHost = transport.remoteAddress
      transport.destroy()
      probe.add(
        tls
          ? findings.tlsConnected(milliseconds, tls.rejectUnauthorized !== false)
          : findings.connected(probe.parties, milliseconds),
      )
      return true
    },
    (error) => (tls ? findings.noTls(probe.parties, error) : findings.notConnected(probe.parties, error)),
  )
  return connected === true
}

/** The query/retrieve services that an archive may accept. */
const services: readonly (readonly [name: string, sopClass: Uid])[] = [
  ['C-ECHO', SopClass.verification],
  ['C-FIND', SopClass.studyRootFind],
  ['C-GET', SopClass.studyRootGet],
  ['C-MOVE', SopClass.studyRootMove],
]

/** An association with every service in it, and C-ECHO over it. False when there is none. */
export async function associate(probe: Probe): Promise<boolean> {
  const [syntaxes] = moveProposal.contexts.map(({ transferSyntaxes }) => transferSyntaxes)
  const contexts = services.map(([, abstractSyntax], n) => ({
    id: 2 * n + 1,
    abstractSyntax,
    transferSyntaxes: syntaxes ?? [],
  }))
  const { extended } = queryProposal(probe.config, true)
  const stood = await probe.step(
    'association',
    async (signal) => {
      const start = performance.now()
      const association = await probe.open({ contexts, ...(extended && { extended }) }, signal)
      const milliseconds = performance.now() - start
      return probe.using([association], signal, () => {
        report(probe, association, milliseconds)
        const { user } = association.requested
        if (extended && user.extended.length === 0) probe.add(findings.extendedNegotiationDropped())
        else probe.add(...options(granted(association, extended !== undefined)))
        if (probe.config.identity && user.identity === undefined) probe.add(findings.identityDropped())
        return Promise.resolve(true)
      })
    },
    (error) => findings.notAssociated(probe.parties, error, probe.tls !== undefined),
  )
  return stood === true
}

function report(probe: Probe, { peer, contexts }: Association, milliseconds: number): void {
  const has = (sopClass: Uid): boolean => [...contexts.values()].some((c) => c.abstractSyntax === sopClass)
  const names = (wanted: boolean): string[] =>
    services.filter(([, sopClass]) => has(sopClass) === wanted).map(([name]) => name)
  probe.add(
    findings.associated(probe.parties, {
      // What an archive calls itself is printed as it is: no control characters.
      implementation:
        `${peer.implementationVersionName ?? 'an implementation without a version name'} (${peer.implementationClassUid})`.replace(
          /[^\x20-\x7e]/g,
          '?',
        ),
      maxPduLength: peer.maxLength,
      accepted: names(true),
      refused: names(false),
      milliseconds,
    }),
  )
}

function granted(
  association: Association,
  asked: boolean,
): Pick<QueryOptions, 'relational' | 'fuzzy'> & { asked: boolean; answered: boolean } {
  const { relational, fuzzy } = negotiated(association)
  return { asked, answered: association.peer.extended.length > 0, relational, fuzzy }
}

/** C-ECHO, a few times over one association. */
export async function echo(probe: Probe): Promise<void> {
  await probe.step(
    'C-ECHO',
    (signal) =>
      probe.associated(queryProposal(probe.config, false), signal, async (association) => {
        const context = contextOf(association, SopClass.verification, probe.config.name, 'C-ECHO')
        const scu = new Scu(association)
        const times: number[] = []
        for (let n = 0; n < ECHOES; n++) {
          const start = performance.now()
          await scu.echo(context, { timeout: probe.within(probe.config.timeouts.response), signal })
          times.push(performance.now() - start)
        }
        times.sort((a, b) => a - b)
        probe.add(findings.echoed(times[ECHOES >> 1]!))
      }),
    (error) => findings.notEchoed(probe.parties, error),
  )
}
