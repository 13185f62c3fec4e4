import type { core } from 'zod'
import { conflict } from './fields.ts'
import type { ConfigPath } from './tree.ts'
import { childOf, keysOf, nodeAt, pathText } from './tree.ts'
import { closest } from './suggest.ts'

export interface ConfigFault {
  /** `archives[0].port`; the variable's name or the file's where the fault is not in a key. */
  readonly path: string
  readonly message: string
}

/** The configuration cannot be used. Holds all of its faults, and no secret. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError'
  readonly code = 'CONFIG'
  readonly faults: readonly ConfigFault[]

  constructor(faults: readonly ConfigFault[], options: ErrorOptions & { hint?: string } = {}) {
    const title =
      faults.length === 1 ? 'The configuration has a fault:' : `The configuration has ${faults.length} faults:`
    const lines = faults.map(({ path, message }) => `  ${path}: ${message}`)
    super([title, ...lines, ...(options.hint ? ['', options.hint] : [])].join('\n'), options)
    this.faults = faults
  }
}

/** Where a key was set, for people: `dimsegate.yaml, line 3`. */
export type Locate = (path: ConfigPath) => string | undefined

/** Zod's issues about `value`, in words; one fault for each path. */
export function faultsOf(issues: readonly core.$ZodIssue[], value: unknown, locate: Locate): ConfigFault[] {
  const faults = new Map<string, ConfigFault>()
  const add = (path: ConfigPath, message: string) => {
    const place = locate(path)
    const fault = { path: pathText(path), message: place === undefined ? message : `${message} (${place})` }
    if (!faults.has(fault.path)) faults.set(fault.path, fault)
  }
  for (const issue of issues.flatMap((one) => ofMeantBranch(one))) {
    if (issue.code === 'unrecognized_keys') {
      for (const key of issue.keys) add(...unknownKey(issue.path, key))
    } else if (issue.code === 'custom' && issue.params?.[conflict] === true) {
      add(issue.path, issue.message)
    } else {
      add(issue.path, `${found(issue.path, value)}; expected ${expected(issue, value)}`)
    }
  }
  return [...faults.values()]
}

/** Of alternatives, the faults of the one whose kind of value this is, where there is one. */
function ofMeantBranch(issue: core.$ZodIssue): readonly core.$ZodIssue[] {
  if (issue.code !== 'invalid_union') return [issue]
  const isOtherKind = ({ path, code }: core.$ZodIssue): boolean =>
    path.length === 0 && ['invalid_type', 'invalid_value'].includes(code)
  const meant = issue.errors.filter((branch) => branch.length > 0 && !branch.some(isOtherKind))
  const [only] = meant
  if (meant.length !== 1 || !only) return [issue]
  return only.flatMap((inner) => ofMeantBranch({ ...inner, path: [...issue.path, ...inner.path] }))
}

function unknownKey(parent: ConfigPath, key: string): [ConfigPath, string] {
  const known = keysOf(nodeAt(parent) ?? {})
  if (known.includes(key))
    return [[...parent, key], 'does not go with this type; expected another type, or not this key']
  const near = closest(key, known)
  const expectation = near === undefined ? `expected one of: ${known.join(', ')}` : `did you mean ${near}?`
  // A slip of the pen can make a key of a passcode: `{ passcode hunter2 }`.
  const isSlip = known.some((one) => key.startsWith(`${one} `) && isSecret([...parent, one]))
  if (isSlip || (isSecret(parent) && near === undefined)) return [parent, `has an unknown key; ${expectation}`]
  return [[...parent, key.length > 40 ? `${key.slice(0, 40)}…` : key], `is not a known key; ${expectation}`]
}

function expected(issue: core.$ZodIssue, value: unknown): string {
  if (issue.code !== 'invalid_type') return issue.message
  if (issue.expected === 'object') {
    const keys = keysOf(nodeAt(issue.path) ?? {})
    return `a group of keys: ${keys.join(', ')}`
  }
  const isBare = ['number', 'boolean'].includes(typeof valueAt(value, issue.path))
  const isFreeText = issue.expected === 'string' && nodeAt(issue.path)?.pattern === undefined
  return isBare && isFreeText ? `${issue.message}; write it in quotes` : issue.message
}

/** The faulty value in words; of a secret, or a value that may hold one, only its type. */
function found(path: ConfigPath, root: unknown): string {
  const value = valueAt(root, path)
  if (value === undefined) return 'is missing'
  if (value === null) return 'is empty'
  if (Array.isArray(value)) return value.length === 0 ? 'is an empty list' : 'is a list'
  if (typeof value === 'object') return 'is a group of keys'
  if (typeof value === 'string') {
    if (value.includes('-----BEGIN')) return 'holds the text of a PEM file'
    if (isSecret(path) || mayHoldSecret(path)) return value === '' ? 'is empty text' : 'is text that does not fit'
    const shown = value.replace(/\/\/[^/\s]*@/, '//…@')
    return `is ${JSON.stringify(shown.length > 40 ? `${shown.slice(0, 40)}…` : shown)}`
  }
  if (typeof value !== 'number' && typeof value !== 'boolean') return `is a ${typeof value}`
  return isSecret(path) ? `is a ${typeof value}` : `is ${value}`
}

function isSecret(path: ConfigPath): boolean {
  const last = path.at(-1)
  return path.includes('identity') || last === 'key' || last === 'clientSecret' || last === 'token' || last === 'hash'
}

/** Text where a group or a list of groups should be may be a mistyped whole of it. */
function mayHoldSecret(path: ConfigPath): boolean {
  const node = nodeAt(path) ?? {}
  return keysOf(node).length > 0 || keysOf(childOf(node, 0) ?? {}).length > 0
}

function valueAt(root: unknown, path: ConfigPath): unknown {
  return path.reduce<unknown>((value, segment) => {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, segment)) return undefined
    return (value as Record<PropertyKey, unknown>)[segment]
  }, root)
}
