import type { ArchiveConfig, Config } from '../config/config.ts'
import { begin } from './begin.ts'
import { webAnswered, webNotReached } from './findings-web.ts'
import type { Probe, ProbeOptions } from './probe.ts'
import { echo } from './reach.ts'
import { worst, type DestinationReport, type Finding } from './report.ts'
import { storable, storeOne } from './store.ts'

type Destination = Config['destinations'][number]
type WebStore = Extract<Destination, { readonly type: 'stow' }>

/** What the doctor needs to know beside a destination. */
export interface DestinationOptions extends Omit<ProbeOptions, 'config'> {
  readonly destination: Destination
  /** What an archive of the configuration has, for what a destination does not say. */
  readonly like: ArchiveConfig
}

/** How long a DICOMweb server may take, in ms. */
const WEB_MS = 15_000

/** Looks at a destination of routes: whether it is there, and takes what is stored. @throws the signal's reason */
export async function examineDestination(options: DestinationOptions): Promise<DestinationReport> {
  const { destination } = options
  const { name } = destination
  if (destination.type === 'stow') {
    const findings = [await web(destination, options.signal)]
    return { name, url: destination.url, level: worst(findings), findings }
  }
  const { findings } = await dicom(destination, options)
  const { aeTitle, host, port } = destination
  return { name, aeTitle, host, port, level: worst(findings), findings }
}

async function dicom(
  destination: Extract<Destination, { readonly type: 'dicom' }>,
  { like, ...options }: DestinationOptions,
): Promise<Probe> {
  const { name, aeTitle, host, port, tls, maxAssociations, callingAeTitle, timeout: response } = destination
  const config: ArchiveConfig = {
    ...like,
    ...{ name, aeTitle, host, port, tls, maxAssociations, identity: null, quirks: {} },
    callingAeTitle: callingAeTitle ?? options.dimse.aeTitle,
    timeouts: { ...like.timeouts, response },
  }
  const { probe, isReached } = await begin({ ...options, config })
  if (isReached) {
    await echo(probe)
    await storable(probe)
    if (probe.storeTest) await storeOne(probe)
  }
  return probe
}

/** A store request without an instance, which stores nothing: by its answer it is known who listens, and whether we may. */
async function web({ url, token }: WebStore, signal: AbortSignal): Promise<Finding> {
  const boundary = 'nothing'
  try {
    const { status, body } = await fetch(`${url}/studies`, {
      method: 'POST',
      redirect: 'manual',
      signal: AbortSignal.any([signal, AbortSignal.timeout(WEB_MS)]),
      headers: {
        'Content-Type': `multipart/related; type="application/dicom"; boundary=${boundary}`,
        Accept: 'application/dicom+json',
        ...(token !== null && { Authorization: `Bearer ${token}` }),
      },
      body: `--${boundary}--\r\n`,
    })
    await body?.cancel()
    return webAnswered(url, status, token !== null)
  } catch (error) {
    signal.throwIfAborted()
    return webNotReached(url, error)
  }
}
