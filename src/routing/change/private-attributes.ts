import type { Dataset } from '../../dicom/dataset.ts'
import { isPrivate, isPrivateCreator, privateBlock } from '../../dicom/tag.ts'
import { matchesWildcard } from '../../dicom/wildcard.ts'

/** Takes the private attributes of a data set away: all, or those of creators with their names, by a pattern (PS3.5 7.8.1). */
export function removePrivate(dataset: Dataset, creator: string | undefined): void {
  if (creator === undefined) {
    for (const [tag] of dataset.entries()) if (isPrivate(tag)) dataset.delete(tag)
    return
  }
  const blocks = new Set<number | undefined>()
  for (const [tag] of dataset.entries()) {
    if (!isPrivateCreator(tag)) continue
    if (matchesWildcard(creator, dataset.string(tag)?.trim() ?? '')) blocks.add(privateBlock(tag))
  }
  for (const [tag] of dataset.entries()) if (blocks.has(privateBlock(tag))) dataset.delete(tag)
}
