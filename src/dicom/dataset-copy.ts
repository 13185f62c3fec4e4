import { Dataset } from './dataset.ts'

/** The same data set once more, to be changed: values are shared, items are not. */
export function copyOf(source: Dataset): Dataset {
  const copy = new Dataset(source.characterSet)
  for (const [tag, element] of source.entries()) {
    const { value } = element
    if (Array.isArray(value)) copy.setItems(tag, (value as readonly Dataset[]).map(copyOf))
    else copy.put(tag, element)
  }
  return copy
}
