import { keywordOf, tagOf } from './dictionary.ts'
import { formatTag, type Tag } from './tag.ts'

/** The tags of an attribute and of the sequences around it, the outermost first. */
export type AttributePath = readonly Tag[]

/** `PatientID`, `00100020`, `RequestAttributesSequence.00400009` (PS3.18 8.3.4.1); undefined when it is no attribute. */
export function attributePath(text: string): Tag[] | undefined {
  const tags = text.split('.').map(tagOf)
  return tags.every((t) => t !== undefined) ? tags : undefined
}

/** As `attributePath` reads it, by keywords where there are any. */
export function pathName(path: AttributePath): string {
  return path.map((t) => keywordOf(t) ?? formatTag(t)).join('.')
}
