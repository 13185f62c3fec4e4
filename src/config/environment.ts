import type { ConfigFault } from './faults.ts'
import type { ConfigPath, SchemaNode } from './tree.ts'
import { childOf, everyKey, hasType, keysOf, nodeAt, pathText, schemaRoot, variants } from './tree.ts'
import { readYaml } from './yaml.ts'
import { closest } from './suggest.ts'

export type Environment = Readonly<Record<string, string | undefined>>

/** The variable that names the file; every other one that starts with `DIMSEGATE_` is a key. */
export const CONFIG_FILE_VARIABLE = 'DIMSEGATE_CONFIG'

const PREFIX = 'DIMSEGATE_'

export interface Overlay {
  /** The file's value with the environment's laid over it. */
  readonly value: unknown
  readonly faults: readonly ConfigFault[]
  /** Whether the environment sets any key. */
  readonly used: boolean
  /** The variable that set a key, or the group or list it is in. */
  variableFor(path: ConfigPath): string | undefined
}

interface Setting {
  readonly variable: string
  readonly path: ConfigPath
  readonly value: unknown
}

/**
 * Lays the variables over `base`, which is not changed. A variable for a whole group or list takes the place of what
 * was there; those for keys in it go on top. An empty variable counts as not set.
 */
export function layEnvironment(base: unknown, env: Environment): Overlay {
  const faults: ConfigFault[] = []
  const settings: Setting[] = []
  for (const [variable, text] of Object.entries(env)) {
    if (text === undefined || !variable.startsWith(PREFIX) || variable === CONFIG_FILE_VARIABLE) continue
    if (isServiceLink(variable, text)) continue
    const key = keyFor(variable)
    if (!key.known) faults.push(unknownVariable(variable, key))
    else if (text.trim() !== '') {
      const read = coerce(key.node, text)
      if ('fault' in read) faults.push({ path: pathText(key.path), message: `${read.fault} (${variable})` })
      else settings.push({ variable, path: key.path, value: read.value })
    }
  }
  settings.sort(byDepthThenIndex)
  let value = base
  const variables = new Map<string, string>()
  for (const { variable, path, value: set } of settings) {
    // A value of another shape stands where a group or list is needed; the schema reports it.
    if (isObstructed(value, path)) continue
    const gap = firstGap(value, path)
    if (gap) {
      const message = `skips ${pathText(gap.missing)}; expected indexes that follow on from 0 (${variable})`
      faults.push({ path: pathText(path), message })
    } else {
      value = withValue(value, path, set)
      variables.set(pathText(path), variable)
    }
  }
  return {
    value,
    faults,
    used: settings.length > 0 || faults.length > 0,
    variableFor(path) {
      for (let length = path.length; length > 0; length--) {
        const variable = variables.get(pathText(path.slice(0, length)))
        if (variable !== undefined) return variable
      }
      return undefined
    },
  }
}

/** `DIMSEGATE_ARCHIVES__0__AETITLE` */
export function variableName(path: ConfigPath): string {
  return PREFIX + path.map((segment) => String(segment).toUpperCase()).join('__')
}

interface Key {
  readonly path: ConfigPath
  readonly node: SchemaNode
  /** Whether the whole name was understood, not only as far as `path`. */
  readonly known: boolean
}

function keyFor(variable: string): Key {
  const path: PropertyKey[] = []
  let node = schemaRoot()
  for (const segment of variable.slice(PREFIX.length).split('__')) {
    const isIndex = /^(?:0|[1-9]\d{0,3})$/.test(segment)
    const key = isIndex ? Number(segment) : keysOf(node).find((one) => one.toUpperCase() === segment)
    const child = key === undefined ? undefined : childOf(node, key)
    if (key === undefined || !child) return { path, node, known: false }
    path.push(key)
    node = child
  }
  return { path, node, known: true }
}

/**
 * Kubernetes puts the Services of the namespace into every container's environment; one that is called `dimsegate…`
 * makes variables that look like ours. They have no double underscore.
 */
function isServiceLink(variable: string, value: string): boolean {
  if (variable.includes('__')) return false
  return (
    /_SERVICE_(?:HOST|PORT(?:_[A-Z0-9_]+)?)$/.test(variable) ||
    /_PORT_\d+_(?:TCP|UDP|SCTP)(?:_(?:PROTO|PORT|ADDR))?$/.test(variable) ||
    (variable.endsWith('_PORT') && /^(?:tcp|udp|sctp):\/\//.test(value))
  )
}

function unknownVariable(variable: string, { path, node }: Key): ConfigFault {
  const index = /(?<=_)\d+(?=_|$)/g
  const indexes = (variable.match(index) ?? []).values()
  const known = [...everyKey()].map((key) => variableName(key.path).slice(PREFIX.length))
  const near = closest(variable.slice(PREFIX.length).replaceAll(index, '0'), known)
  const meant = near && PREFIX + near.replaceAll(/(?<=_)0(?=_|$)/g, () => indexes.next().value ?? '0')
  return {
    path: variable,
    message: `is not a known variable; ${meant ? `did you mean ${meant}?` : whatMayFollow(path, node)}`,
  }
}

function whatMayFollow(path: ConfigPath, node: SchemaNode): string {
  const start = path.length > 0 ? `${variableName(path)}__` : PREFIX
  const keys = keysOf(node).map((key) => key.toUpperCase())
  if (keys.length > 0) return `expected ${start} and then one of: ${keys.join(', ')}`
  return childOf(node, 0) ? `expected ${start} and an index from 0` : `expected nothing after ${variableName(path)}`
}

/** Text converted to the type that the schema wants; text that fits no type is left for the schema to refuse. */
function coerce(node: SchemaNode, text: string): { value: unknown } | { fault: string } {
  const word = text.trim()
  if (word === 'null' && hasType(node, 'null')) return { value: null }
  for (const { const: only, enum: choices = only === undefined ? [] : [only] } of variants(node)) {
    const choice = choices.find((one) => String(one) === word)
    if (choice !== undefined) return { value: choice }
  }
  if (hasType(node, 'boolean') && /^(?:true|false)$/i.test(word)) return { value: word.toLowerCase() === 'true' }
  if ((hasType(node, 'integer') || hasType(node, 'number')) && /^-?\d+(?:\.\d+)?$/.test(word)) {
    return { value: Number(word) }
  }
  const list = hasType(node, 'array')
  if (hasType(node, 'object') || (list && (word.startsWith('[') || hasType(childOf(node, 0) ?? {}, 'object')))) {
    const { value, faults } = readYaml(text)
    const [first] = faults
    if (!first) return { value }
    return {
      fault: `cannot be read: line ${first.line}, column ${first.column}: ${first.message}; expected JSON or YAML`,
    }
  }
  const takesText = variants(node).some((one) => hasType(one, 'string') && one.const === undefined && !one.enum)
  if (list && !takesText) return { value: word.split(',').map((entry) => entry.trim()) }
  return { value: text }
}

function byDepthThenIndex(a: Setting, b: Setting): number {
  if (a.path.length !== b.path.length) return a.path.length - b.path.length
  for (const [at, segment] of a.path.entries()) {
    const other = b.path[at]
    if (typeof segment === 'number' && typeof other === 'number' && segment !== other) return segment - other
  }
  return 0
}

/** Whether a value on the path of a key cannot hold the next segment, where the schema has only a group or list. */
function isObstructed(target: unknown, path: ConfigPath): boolean {
  let value = target
  for (const [at, segment] of path.entries()) {
    if (value === undefined || value === null) return false
    const fits = typeof value === 'object' && Array.isArray(value) === (typeof segment === 'number')
    if (!fits) return !hasType(nodeAt(path.slice(0, at)) ?? {}, 'string')
    value = (value as Record<PropertyKey, unknown>)[segment]
  }
  return false
}

/** The first index in the path of a key that would leave a hole in its list. */
function firstGap(target: unknown, path: ConfigPath): { missing: ConfigPath } | undefined {
  let value = target
  for (const [at, segment] of path.entries()) {
    const length = Array.isArray(value) ? value.length : 0
    if (typeof segment === 'number' && segment > length) return { missing: [...path.slice(0, at), length] }
    value = typeof value === 'object' && value !== null ? (value as Record<PropertyKey, unknown>)[segment] : undefined
  }
  return undefined
}

/** A copy along the path: YAML aliases make one value stand in several places, and only this one is meant. */
function withValue(target: unknown, path: ConfigPath, value: unknown): unknown {
  const [segment, ...rest] = path
  if (segment === undefined) return value
  if (typeof segment === 'number') {
    const list: unknown[] = Array.isArray(target) ? [...(target as unknown[])] : []
    list[segment] = withValue(list[segment], rest, value)
    return list
  }
  const isGroup = typeof target === 'object' && target !== null && !Array.isArray(target)
  const group = (isGroup ? { ...target } : {}) as Record<PropertyKey, unknown>
  group[segment] = withValue(group[segment], rest, value)
  return group
}
