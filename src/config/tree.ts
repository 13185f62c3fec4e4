import { configJsonSchema } from './schema.ts'

export type ConfigPath = readonly PropertyKey[]

/** As much of JSON Schema as the configuration's needs. */
export interface SchemaNode {
  readonly type?: string | readonly string[]
  readonly properties?: Readonly<Record<string, SchemaNode>>
  readonly items?: SchemaNode
  readonly anyOf?: readonly SchemaNode[]
  readonly oneOf?: readonly SchemaNode[]
  readonly enum?: readonly unknown[]
  readonly const?: unknown
  readonly pattern?: string
  readonly default?: unknown
  readonly description?: string
  readonly required?: readonly string[]
}

let root: SchemaNode | undefined

export function schemaRoot(): SchemaNode {
  root ??= configJsonSchema() as SchemaNode
  return root
}

/** The alternatives a value may be, none of them a union itself. */
export function variants(node: SchemaNode): readonly SchemaNode[] {
  const alternatives = node.anyOf ?? node.oneOf
  return alternatives ? alternatives.flatMap(variants) : [node]
}

export function hasType(node: SchemaNode, type: string): boolean {
  return variants(node).some((one) => (Array.isArray(one.type) ? one.type.includes(type) : one.type === type))
}

/** The keys a group may have; those of every alternative where there are several. */
export function keysOf(node: SchemaNode): readonly string[] {
  return [...new Set(variants(node).flatMap((one) => Object.keys(one.properties ?? {})))]
}

/** The schema of the value under a key, or at an index of a list; undefined where the schema has none. */
export function childOf(node: SchemaNode, segment: PropertyKey): SchemaNode | undefined {
  const found = variants(node).flatMap((one) => {
    if (typeof segment === 'number') return one.items ?? []
    const { properties } = one
    return properties && Object.hasOwn(properties, segment) ? (properties[String(segment)] ?? []) : []
  })
  return found.length > 1 ? { anyOf: found } : found[0]
}

export function nodeAt(path: ConfigPath): SchemaNode | undefined {
  return path.reduce<SchemaNode | undefined>((node, segment) => node && childOf(node, segment), schemaRoot())
}

/** Every key with what may stand under it, outermost first; index 0 stands for any index of a list. */
export function* everyKey(
  node: SchemaNode = schemaRoot(),
  path: ConfigPath = [],
): Generator<{ path: ConfigPath; node: SchemaNode }> {
  const segments = childOf(node, 0) ? [0] : keysOf(node)
  for (const segment of segments) {
    const child = childOf(node, segment)
    if (!child) continue
    yield { path: [...path, segment], node: child }
    yield* everyKey(child, [...path, segment])
  }
}

/** `archives[0].tls.ca` */
export function pathText(path: ConfigPath): string {
  if (path.length === 0) return 'configuration'
  return path
    .map((segment, at) => (typeof segment === 'number' ? `[${segment}]` : `${at > 0 ? '.' : ''}${String(segment)}`))
    .join('')
}
