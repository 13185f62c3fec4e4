import { Attribute } from './attributes.ts'
import { CharacterSet } from './charset.ts'
import { Dataset, type Element } from './dataset.ts'
import { pad } from './value.ts'
import { representation } from './vr.ts'

const UTF8 = CharacterSet.of(['ISO_IR 192'])

/** The same data set with its text in UTF-8 (PS3.3 C.12.1.1.2): a byte that had no meaning is U+FFFD in it. */
export function inUtf8(source: Dataset): Dataset {
  return recoded(source).set(Attribute.SpecificCharacterSet, 'ISO_IR 192')
}

function recoded(source: Dataset): Dataset {
  const made = new Dataset(UTF8)
  for (const [tag, element] of source.entries()) {
    // Items have that of what is around them.
    if (tag !== Attribute.SpecificCharacterSet) made.put(tag, recodedElement(element, source.characterSet))
  }
  return made
}

function recodedElement(element: Element, from: CharacterSet): Element {
  const { vr, value } = element
  if (Array.isArray(value)) return { ...element, value: (value as readonly Dataset[]).map(recoded) }
  const { charset, kind } = representation(vr)
  if (!charset || !(value instanceof Uint8Array)) return element
  const isName = vr === 'PN'
  const text =
    kind === 'text' ? UTF8.encodeText(from.decodeText(value)) : UTF8.encodeList(from.decodeList(value, isName), isName)
  return { ...element, value: pad(vr, text) }
}
