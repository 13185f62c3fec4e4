import { Attribute } from '../../dicom/attributes.ts'
import type { Dataset } from '../../dicom/dataset.ts'
import type { Archive } from '../../pacs/archive.ts'
import type { SearchRequest } from '../../pacs/search/search.ts'
import { clientOf } from '../client.ts'
import type { HttpContext } from '../context.ts'
import { imageSeries, isFarAway } from '../image-series.ts'

/**
 * Passes on the series of a study, by default those of the archive that is asked. When all are told, what is held of series with as many instances is true for longer; and
 * who lists them is likely to open one of them, so that may be fetched (`cache.prefetch`).
 */
export async function* seriesListed(
  c: HttpContext,
  { level, study, match }: SearchRequest,
  results: AsyncIterable<Dataset>,
  archiveOf: (result: Dataset) => Archive = () => c.var.archive,
): AsyncGenerator<Dataset> {
  if (level !== 'SERIES' || study === undefined || match.length > 0) {
    yield* results
    return
  }
  const { archive, cache, config, principal } = c.var
  const { prefetch } = config.cache
  const isAhead = prefetch !== 'off' && principal.may('retrieve', archive.config)
  const near: Dataset[] = []
  for await (const result of results) {
    if (isAhead && !isFarAway(result)) near.push(result)
    const told = archiveOf(result)
    yield result
    const series = result.string(Attribute.SeriesInstanceUID)
    const instances = result.number(Attribute.NumberOfSeriesRelatedInstances)
    if (series === undefined || instances === undefined || told.config.quirks.wrongCounts === true) continue
    cache.confirm(told, { study, series }, instances)
  }
  if (!isAhead) return
  const series = imageSeries(near)
  c.var.ahead.begin(clientOf(c), archive, study, prefetch === 'first' ? series.slice(0, 1) : series)
}
