import { ElementReader, type ElementHeader } from './element-reader.ts'
import type { DataSetSource } from './data-set-source.ts'
import { formatTag } from './tag.ts'
import { tokenRuns } from './token-runs.ts'

/** An element met on the way through a data set. */
export interface WalkedElement {
  readonly header: ElementHeader
  /** Tags, with item numbers from 0 between them, joined by `/`. */
  readonly path: string
  /** Of the first byte of its value; of its first item where it is encapsulated (PS3.5 A.4). */
  readonly offset: number
  readonly encapsulated: boolean
}

/**
 * The elements of a data set with a value of their own, also those in items, in their order. The source is not deflated.
 * @throws MalformedDataSetError, and what the source throws
 */
export async function* walkElements(source: DataSetSource): AsyncGenerator<WalkedElement> {
  const reader = new ElementReader(source.syntax)
  /** Of each sequence that is open: its path, and the number of its item. */
  const sequences: { path: string; item: number }[] = []
  const pathOf = ({ tag: t }: ElementHeader): string => {
    const around = sequences.at(-1)
    return around ? `${around.path}/${around.item}/${formatTag(t)}` : formatTag(t)
  }
  for await (const run of tokenRuns(source.bytes(), reader)) {
    for (const token of run) {
      if (token.kind === 'sequence-start') sequences.push({ path: pathOf(token.header), item: -1 })
      else if (token.kind === 'item-start') sequences.at(-1)!.item++
      else if (token.kind === 'element' || token.kind === 'pixel-sequence-start') {
        const { kind, header } = token
        const encapsulated = kind === 'pixel-sequence-start'
        yield { header, path: pathOf(header), offset: reader.offset, encapsulated }
        if (encapsulated) sequences.push({ path: '', item: -1 })
      } else if (token.kind === 'sequence-end') sequences.pop()
    }
  }
}
