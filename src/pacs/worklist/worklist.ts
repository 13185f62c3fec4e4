import type { ArchiveConfig } from '../../config/config.ts'
import type { Dataset } from '../../dicom/dataset.ts'
import type { Tag } from '../../dicom/tag.ts'
import { SopClass } from '../../dicom/uids.ts'
import { Scu } from '../../dimse/scu.ts'
import type { Call } from '../call.ts'
import { contextOf, worklistProposal } from '../contexts.ts'
import { streamedOnFresh } from '../pool/on-fresh.ts'
import type { AssociationPool } from '../pool/pool.ts'
import { asFarAsAnswered } from '../search/capped.ts'
import { withDefaultCharset } from '../search/default-charset.ts'
import { fits } from '../search/post-filter.ts'
import { identifier, type Key } from '../search/query.ts'
import { STEP, worklistKeys } from './worklist-keys.ts'

/** What of the worklist is asked for. */
export interface WorklistRequest {
  readonly match: readonly Key[]
  /** Attributes to be returned besides those that always are, by their paths. */
  readonly include: readonly (readonly Tag[])[]
  /** Names are to be matched by meaning, where that is agreed to. */
  readonly fuzzy: boolean
}

/** The system whose worklist it is: the archive, or another one. */
export interface WorklistTarget {
  readonly pool: Pick<AssociationPool, 'lease'>
  readonly config: Pick<ArchiveConfig, 'name' | 'charset' | 'timeouts' | 'quirks' | 'search'>
}

/** Scheduled procedure steps, by C-FIND of the Modality Worklist Information Model (PS3.4 K). */
export class Worklist {
  readonly #target: WorklistTarget

  constructor(target: WorklistTarget) {
    this.#target = target
  }

  /** Whether names are matched by meaning. @throws what opening an association throws */
  async isFuzzy(call: Call): Promise<boolean> {
    const lease = await this.#lease(true, call, false)
    const { extended } = lease.association.peer
    lease.release()
    return extended.some(({ sopClass, information }) => sopClass === WORKLIST && information[2] === 1)
  }

  /**
   * Steps as the system answers them, without those that do not fit the keys; `capped` is called where it ended its answer
   * early.
   * @throws NotSupportedByArchiveError, StatusError, UnencodableKeyError, InvalidKeyError, TooManyMatchesError, and what
   *   opening or losing an association throws
   */
  async *find({ match, include, fuzzy }: WorklistRequest, call: Call, capped: () => void): AsyncGenerator<Dataset> {
    const { charset, quirks } = this.#target.config
    const request = identifier({ keys: worklistKeys(match, include) }, charset)
    const found = this.#asked(request, fuzzy, call)
    const leniency = { fuzzy, loose: quirks.looseMatching === true }
    for await (const step of asFarAsAnswered(found, capped)) {
      if (!step.has(STEP)) step.setItems(STEP, [])
      if (fits(step, match, leniency)) yield step
    }
  }

  /**
   * Steps that match a query as somebody else asks it, as the system answers.
   * @throws NotSupportedByArchiveError, StatusError, and what opening or losing an association throws
   */
  passOn(query: Dataset, call: Call): AsyncGenerator<Dataset> {
    return this.#asked(query, false, call)
  }

  #asked(query: Dataset, fuzzy: boolean, call: Call): AsyncGenerator<Dataset> {
    const { name, charset, timeouts } = this.#target.config
    const operation = { timeout: timeouts.response, signal: call.signal }
    return streamedOnFresh(
      (fresh) => this.#lease(fuzzy, call, fresh),
      async function* ({ association }) {
        const context = contextOf(association, WORKLIST, name, 'Modality Worklist C-FIND')
        for await (const step of new Scu(association).find(context, query, operation)) {
          yield withDefaultCharset(step, charset.default)
        }
      },
    )
  }

  #lease(fuzzy: boolean, call: Call, fresh: boolean) {
    const { pool, config } = this.#target
    const isOffered = fuzzy && config.search.extendedNegotiation && config.quirks.noExtendedNegotiation !== true
    return pool.lease(worklistProposal(isOffered), call, { fresh })
  }
}

const WORKLIST = SopClass.modalityWorklistFind
