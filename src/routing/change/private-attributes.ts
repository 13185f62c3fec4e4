import type { Dataset } from '../../dicom/dataset.ts'
import { isPrivate, isPrivateCreator } from '../../dicom/tag.ts'
import { matchesWildcard } from '../../dicom/wildcard.ts'

/** Takes the private attributes of a data set away: all, or those of creators with their names, by a pattern (PS3.5 7.8.1). */
export function removePrivate(dataset: Dataset, creator: string | undefined): void {
  if (creator === undefined) {
    for (const [tag] of dataset.entries()) if (isPrivate(tag)) dataset.delete(tag)
    return
  }
  const blocks = new Set<number>()
  for (const [tag] of dataset.entries()) {
    if (isPrivateCreator(tag) && matchesWildcard(creator, dataset.string(tag)?.trim() ?? ''))
      blocks.add((tag >>> 16) * 0x100 + (tag & 0xff))
  }
  for (const [tag] of dataset.entries()) {
    const block = isPrivateCreator(tag) ? tag & 0xff : (tag >>> 8) & 0xff
    if (isPrivate(tag) && blocks.has((tag >>> 16) * 0x100 + block)) dataset.delete(tag)
  }
}
