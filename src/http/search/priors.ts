import type { Dataset } from '../../dicom/dataset.ts'
import { setOwn } from '../../dicom/own-attributes.ts'
import type { Prior } from '../../pacs/priors/find-priors.ts'
import { NoSuchInstanceError } from '../../pacs/retrieve/errors.ts'
import { modelType } from '../accept.ts'
import { visible } from '../auth/within-binding.ts'
import type { HttpContext } from '../context.ts'
import { pathUid } from '../path.ts'
import { RequestError } from '../problem.ts'
import { isStrict, notComplete, silences } from '../silences.ts'
import { surroundingsOf } from '../surroundings.ts'
import { AnswerEnd } from './answer-end.ts'
import { complete } from './complete.ts'
import { Page } from './page.ts'
import { sendResults } from './send-results.ts'

/** Priors that are given unless told, and at most. */
const DEFAULT_LIMIT = 5
export const MAX_LIMIT = 100
/** How many more there are is counted so far. */
const COUNT_WINDOW = 200

const MORE_STUDIES = 'The patient has more studies than priors are chosen from'

/**
 * Earlier studies of a patient that a reader of one of his studies might want to see beside it, the best first: as a search
 * gives studies, with the score and its reasons.
 * @throws NoSuchInstanceError where there is no such study; RequestError
 */
export async function searchPriors(c: HttpContext): Promise<Response> {
  const type = modelType(c)
  const limit = limitOf(c)
  const strict = isStrict(c)
  const study = pathUid(c, 'study')!
  const priors = await c.var.priors.find(study, surroundingsOf(c), { signal: c.var.signal })
  if (!priors) throw new NoSuchInstanceError()
  const { found, failures, isCut } = priors
  if (strict && failures.length > 0) throw notComplete(failures)
  const page = new Page(0, limit, COUNT_WINDOW)
  const request = { level: 'STUDY', withParents: false, match: [], include: [] } as const
  async function* rows(): AsyncGenerator<Dataset> {
    for await (const prior of page.of(seen(c, found))) {
      const row = complete(prior.told.row, request, c.var.base)
      setOwn(row, 'PriorScore', String(prior.score.value))
      setOwn(row, 'PriorReasons', prior.score.reasons)
      yield row
    }
  }
  const warnings = [...silences(failures), ...(isCut ? [MORE_STUDIES] : [])]
  const failed = (error: unknown): unknown => error
  return sendResults(c, rows(), { type, page, end: new AnswerEnd(), warnings, failed })
}

/** Those that who asks may see. */
async function* seen(c: HttpContext, priors: readonly Prior[]): AsyncGenerator<Prior> {
  for (const prior of priors) {
    const { archive, row } = prior.told
    for await (const _ of visible(c, one(row), 'STUDY', archive)) yield prior
  }
}

async function* one<T>(value: T): AsyncGenerator<T> {
  yield value
}

function limitOf(c: HttpContext): number {
  const values = c.req.queries('limit') ?? []
  if (values.length === 0) return DEFAULT_LIMIT
  const [value] = values
  if (values.length > 1 || !/^\d{1,9}$/.test(value!)) {
    throw new RequestError(400, 'INVALID_PARAMETER', 'The parameter limit is a whole number, given once.')
  }
  return Math.min(Number(value), MAX_LIMIT)
}
