import { describe, expect, it } from 'vitest'
import { Attribute } from '../../../src/dicom/attributes.ts'
import { Dataset } from '../../../src/dicom/dataset.ts'
import { existing, MAX_SERIES, UIDS_PER_QUERY } from '../../../src/pacs/commitment/existence.ts'
import type { Query } from '../../../src/pacs/search/query.ts'
import { CT, MR } from '../../support/dicom-files.ts'

const ONE = { sopClass: CT, sopInstance: '1.1' }
const call = { signal: new AbortController().signal }

/** An archive that answers the same to each query, and what it was asked. */
function archiveOf(matches: readonly (readonly [uid: string, sopClass: string | undefined])[], relational = true) {
  const asked: Query[] = []
  return {
    asked,
    archive: 'main',
    relational,
    async *find(query: Query) {
      asked.push(query)
      for (const [uid, sopClass] of matches) {
        const match = new Dataset().set(Attribute.SOPInstanceUID, uid)
        yield await Promise.resolve(sopClass === undefined ? match : match.set(Attribute.SOPClassUID, sopClass))
      }
    },
  }
}

describe('an instance that an archive without storage commitment is asked about', () => {
  it.each<[string, Parameters<typeof archiveOf>[0], number | undefined]>([
    ['is there where it is listed with its class', [['1.1', CT]], undefined],
    ['is there where no class is told', [['1.1', undefined]], undefined],
    ['is not there where it is not listed', [['1.2', CT]], 0x0112],
    ['is another where it has another class', [['1.1', MR]], 0x0119],
    [
      'is neither where it has two',
      [
        ['1.1', MR],
        ['1.1', CT],
      ],
      0x0119,
    ],
  ])('%s', async (_, matches, reason) => {
    const { committed, failed } = await existing([ONE], archiveOf(matches), call)
    expect([committed, failed]).toEqual(reason === undefined ? [[ONE], []] : [[], [{ ...ONE, reason }]])
  })

  it('is asked about with the others of its series, some at a time', async () => {
    const references = Array.from({ length: UIDS_PER_QUERY + 1 }, (_, n) => ({ ...ONE, sopInstance: `1.${n}` }))
    const archive = archiveOf([])
    await existing(references, archive, call)
    expect(archive.asked.map(({ keys }) => keys.at(-1)!.values.length)).toEqual([UIDS_PER_QUERY, 1])
  })

  it('is not asked about where there are too many series, or its own is needed and not told', async () => {
    const many = Array.from({ length: MAX_SERIES + 1 }, (_, n) => ({ ...ONE, study: '1', series: `1.${n}` }))
    const archive = archiveOf([])
    await expect(existing(many, archive, call)).rejects.toMatchObject({ code: 'TOO_MANY_REFERENCES' })
    await expect(existing([ONE], archiveOf([], false), call)).rejects.toMatchObject({
      code: 'NOT_SUPPORTED_BY_ARCHIVE',
    })
    expect(archive.asked).toEqual([])
  })
})
