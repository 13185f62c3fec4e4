import type { Dataset } from '../../dicom/dataset.ts'
import { negotiateSteps } from '../../dicomweb/negotiate/negotiate.ts'
import { parseSearchParams } from '../../dicomweb/params/search-params.ts'
import type { Call } from '../../pacs/call.ts'
import { acceptHeader, modelType } from '../accept.ts'
import { notPermitted } from '../auth/errors.ts'
import type { HttpContext } from '../context.ts'
import { AnswerEnd } from './answer-end.ts'
import { isFaultOfRequest, notUnderstood } from './faults.ts'
import { Page } from './page.ts'
import { sendResults } from './send-results.ts'
import { unsupported } from './unsupported.ts'

/** Search for scheduled procedure steps (PS3.18 14.4): one C-FIND of the worklist. */
export async function searchWorklist(c: HttpContext): Promise<Response> {
  const type = negotiateSteps(acceptHeader(c)) ?? modelType(c)
  const { archive, signal, principal } = c.var
  // Its steps are of all patients, and of studies that are not there yet.
  if (principal.binding) throw notPermitted('see the worklist, which is not of one patient or study')
  const call: Call = { signal }
  const params = parseSearchParams(new URL(c.req.url).searchParams)
  const { match, includePaths: include } = params
  const fuzzy = params.fuzzyMatching && (await archive.worklist.isFuzzy(call))
  const { maxResults, countWindow } = archive.config.search
  const page = new Page(params.offset, Math.min(params.limit ?? maxResults, maxResults), countWindow)
  const end = new AnswerEnd()
  const steps = archive.worklist.find({ match, include, fuzzy }, call, () => end.cap())
  // Empty values and lists are as in any search of an archive that agreed to nothing.
  const warnings = unsupported(params, { fuzzy, emptyValue: false, multipleValue: false })
  // There is no "all" in DIMSE.
  if (params.includeAll)
    warnings.push('includefield=all is passed over: what a worklist has besides is asked for by name.')
  const named = new Set([...match.map(({ tag }) => tag), ...params.include])
  const failed = (error: unknown): unknown => (isFaultOfRequest(error, named) ? notUnderstood(error) : error)
  return sendResults(c, page.limit === 0 ? nothing() : page.of(steps), { type, page, end, warnings, failed })
}

async function* nothing(): AsyncGenerator<Dataset> {
  // limit=0 asks for nothing (PS3.18 8.3.4.4).
}
