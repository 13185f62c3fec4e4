import type { HttpBindings } from '@hono/node-server'
import type { Context } from 'hono'
import type { Config } from '../config/config.ts'
import type { Imaging } from '../imaging/pool/imaging.ts'
import type { Archive } from '../pacs/archive.ts'
import type { Federation } from '../pacs/federation/federation.ts'
import type { PriorFinder } from '../pacs/priors/find-priors.ts'
import type { Prefetcher } from '../cache/prefetch/prefetcher.ts'
import type { Instances } from './instances.ts'
import type { Trail } from './audit/trail.ts'
import type { Principal } from './auth/principal.ts'
import type { StudyPatients } from './auth/study-patients.ts'
import type { Given } from './validators/given.ts'
import type { FetchAhead } from '../cache/fetch-ahead.ts'
import type { Holding } from './made/holding.ts'
import type { Shortfalls } from './retrieve/shortfalls.ts'
import type { Federated } from './federated.ts'
import type { Router } from '../routing/router.ts'

/** What every request handler can reach. */
export interface HttpEnv {
  Bindings: HttpBindings
  Variables: {
    readonly config: Config
    readonly cache: Instances
    readonly ahead: FetchAhead
    /** As the client has it. */
    readonly imaging: Imaging
    readonly shortfalls: Shortfalls
    /** What stores hold in memory. */
    readonly holding: Holding
    readonly given: Given
    readonly router: Router
    /** Several archives as one, where that is configured. */
    readonly federation: Federation | undefined
    /** The same, where the path names that; `archive` is the one that stands for them. */
    readonly federated: Federated | undefined
    /** The archive that the path names. */
    readonly archive: Archive
    /** Absolute URL of the DICOMweb root of that archive, without a trailing slash. */
    readonly base: string
    /** Aborted when the client goes away or the service stops for good. */
    readonly signal: AbortSignal
    /** Who asks. */
    readonly principal: Principal
    readonly patients: StudyPatients
    readonly priors: PriorFinder
    /** Undefined where priors are not fetched ahead. */
    readonly prefetcher: Prefetcher | undefined
    /** What the request leaves in the audit trail; undefined where there is none. */
    readonly trail: Trail | undefined
  }
}

export type HttpContext = Context<HttpEnv>

/** Ends an operation whose client has gone. */
export class ClientGoneError extends Error {
  readonly code = 'CLIENT_GONE'
  constructor() {
    super('The client closed the connection')
    this.name = 'ClientGoneError'
  }
}
