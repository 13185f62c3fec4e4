import type { Node, YAMLError } from 'yaml'
import { LineCounter, isAlias, isCollection, isNode, parseDocument, visit } from 'yaml'
import type { ConfigPath } from './tree.ts'

export interface YamlText {
  /** Plain values; undefined when there are faults, null when the text is empty. */
  readonly value: unknown
  readonly faults: readonly YamlFault[]
  /** The line of a key's value, counted from 1. */
  lineOf(path: ConfigPath): number | undefined
}

export interface YamlFault {
  readonly line: number
  readonly column: number
  readonly message: string
}

/** Reads YAML 1.2, so also JSON. What the faults say never quotes the text: it may hold secrets. */
export function readYaml(text: string): YamlText {
  try {
    return read(text)
  } catch (error) {
    // The parser calls itself for what is in something else.
    if (!(error instanceof RangeError)) throw error
    const fault: YamlFault = { line: 1, column: 1, message: 'groups or lists that are nested too deeply' }
    return { value: undefined, faults: [fault], lineOf: () => undefined }
  }
}

function read(text: string): YamlText {
  const lines = new LineCounter()
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false, merge: true })
  const fault = (offset: number, message: string): YamlFault => {
    const { line, col } = lines.linePos(offset)
    return { line, column: col, message }
  }
  // The parser warns of tags and directives that it ignores: the value is then another than was written.
  const faults = [...document.errors, ...document.warnings].map((error) => fault(error.pos[0], described(error)))
  const anchored = new Map<string, Node>()
  visit(document, {
    Pair(_, { key }) {
      const meant = isAlias(key) ? anchored.get(key.source) : key
      // The parser would make text of it, and quote that in a warning.
      if (isCollection(meant)) faults.push(fault(startOf(key), 'a group or a list where a key should be'))
    },
    Node(_, node) {
      // Not by the alias itself, which goes through the whole document for it.
      if (isAlias(node)) {
        if (!anchored.has(node.source)) faults.push(fault(startOf(node), 'an alias (*) without its anchor (&)'))
      } else if (node.anchor !== undefined) anchored.set(node.anchor, node)
    },
  })
  let value: unknown
  try {
    if (faults.length === 0) value = document.toJS()
  } catch {
    faults.push(fault(0, 'aliases (*) that cannot be followed'))
  }
  return {
    value,
    faults: faults.sort((a, b) => a.line - b.line || a.column - b.column),
    lineOf(path) {
      const node = document.getIn(path, true)
      return isNode(node) && node.range ? lines.linePos(node.range[0]).line : undefined
    },
  }
}

function startOf(node: unknown): number {
  return isNode(node) ? (node.range?.[0] ?? 0) : 0
}

/** The messages of these codes quote what they found. */
const QUOTING: Partial<Record<YAMLError['code'], string>> = {
  BAD_DIRECTIVE: 'a line that starts with % but is no YAML directive',
  BAD_DQ_ESCAPE: 'a backslash escape that YAML does not know; use single quotes for text with backslashes',
  BAD_COLLECTION_TYPE: 'a tag (!) that does not fit what follows it',
  TAG_RESOLVE_FAILED: 'a tag (!) that is not known; put text that starts with ! in quotes',
  UNEXPECTED_TOKEN: 'something that does not belong here; look for a missing quote, bracket or indentation',
}

function described(error: YAMLError): string {
  return QUOTING[error.code] ?? error.message
}
