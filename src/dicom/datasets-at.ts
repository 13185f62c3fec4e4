import type { AttributePath } from './attribute-path.ts'
import { Dataset } from './dataset.ts'

/** The data sets that have, or may have, the attribute at the end of a path; `makes`: an item where a sequence has none. */
export function datasetsAt(root: Dataset, path: AttributePath, makes = false): Dataset[] {
  let found: Dataset[] = [root]
  for (const tag of path.slice(0, -1)) {
    found = found.flatMap((dataset) => {
      if (makes && dataset.items(tag).length === 0) dataset.setItems(tag, [new Dataset(dataset.characterSet)])
      return dataset.items(tag)
    })
  }
  return found
}
