import type { TlsOptions } from '../network/transport.ts'
import { readTls, TlsFileError } from '../pacs/tls-files.ts'
import { tlsFileUnusable } from './findings-reach.ts'
import { Probe, type ProbeOptions } from './probe.ts'
import { reach } from './reach.ts'

/** A probe, with what its TLS needs of files, and whether there is a connection. @throws the signal's reason */
export async function begin(options: ProbeOptions): Promise<{ readonly probe: Probe; readonly isReached: boolean }> {
  const { tls } = options.config
  let ours: TlsOptions | undefined
  try {
    if (tls) ours = await readTls(tls)
  } catch (error) {
    if (!(error instanceof TlsFileError)) throw error
    const probe = new Probe(options, undefined)
    probe.add(tlsFileUnusable(error))
    return { probe, isReached: false }
  }
  const probe = new Probe(options, ours)
  return { probe, isReached: await reach(probe) }
}
