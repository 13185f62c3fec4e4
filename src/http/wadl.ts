import { escapeAttribute } from '../dicomweb/encode/xml.ts'

/** As much of the OpenAPI document as is told. */
interface Contract {
  readonly paths: Readonly<Record<string, PathItem>>
}
type PathItem = Readonly<Record<string, unknown>> & {
  readonly servers?: unknown
  readonly parameters?: readonly Node[]
}
type Node = Readonly<Record<string, unknown>>

interface Resource {
  readonly methods: string[]
  readonly children: Map<string, Resource>
}

const METHODS = ['get', 'post', 'put', 'delete'] as const

/**
 * The DICOMweb resources of the OpenAPI document as a Web Application Description (WADL, W3C member submission of 2009),
 * which PS3.18 8.9 and Annex H have for capabilities. `base`: the URL below which they are.
 */
export function wadl(contract: object, base: string): string {
  const root: Resource = { methods: [], children: new Map() }
  for (const [path, item] of Object.entries((contract as Contract).paths)) {
    // What stands outside of the base path has servers of its own.
    if (item.servers !== undefined) continue
    const resource = path.split('/').filter(Boolean).reduce(child, root)
    for (const method of METHODS) {
      const operation = item[method]
      if (operation !== undefined) resource.methods.push(methodOf(contract, method, operation as Node, item.parameters))
    }
  }
  return [
    '<?xml version="1.0" encoding="UTF-8"?>',
    '<application xmlns="http://wadl.dev.java.net/2009/02" xmlns:xsd="http://www.w3.org/2001/XMLSchema">',
    `<resources base="${escapeAttribute(base)}/">`,
    ...contents(root),
    '</resources>',
    '</application>',
    '',
  ].join('\n')
}

function child({ children }: Resource, segment: string): Resource {
  const known = children.get(segment)
  if (known) return known
  const made: Resource = { methods: [], children: new Map() }
  children.set(segment, made)
  return made
}

function* contents({ methods, children }: Resource): Generator<string> {
  yield* methods
  for (const [segment, resource] of children) {
    yield `<resource path="${escapeAttribute(segment)}">`
    const [, name] = /^\{(.*)\}$/.exec(segment) ?? []
    if (name !== undefined) yield param(name, 'template', true)
    yield* contents(resource)
    yield '</resource>'
  }
}

function methodOf(contract: object, method: string, operation: Node, shared: readonly Node[] = []): string {
  const own = (operation['parameters'] ?? []) as readonly Node[]
  const parameters = [...shared, ...own].map((one) => resolved(contract, one))
  const asked = [
    ...parameters.flatMap(({ name, in: place, required }) =>
      place === 'query' || place === 'header' ? [param(String(name), place, required === true)] : [],
    ),
    ...representations(resolved(contract, (operation['requestBody'] ?? {}) as Node)),
  ]
  const responses = Object.entries((operation['responses'] ?? {}) as Record<string, Node>).map(
    ([status, response]) =>
      `<response status="${status}">${representations(resolved(contract, response)).join('')}</response>`,
  )
  const id = escapeAttribute(String(operation['operationId']))
  return [
    `<method name="${method.toUpperCase()}" id="${id}">`,
    '<request>',
    ...asked,
    '</request>',
    ...responses,
    '</method>',
  ].join('\n')
}

function representations({ content = {} }: Node): string[] {
  return Object.keys(content as object).map((type) => `<representation mediaType="${escapeAttribute(type)}"/>`)
}

function param(name: string, style: string, required: boolean): string {
  return `<param name="${escapeAttribute(name)}" style="${style}" type="xsd:string"${required ? ' required="true"' : ''}/>`
}

/** What a reference leads to (RFC 6901). */
function resolved(contract: object, node: Node): Node {
  const { $ref } = node
  if (typeof $ref !== 'string') return node
  const keys = $ref.slice(2).split('/')
  return keys.reduce<unknown>(
    (value, key) => (value as Node)[key.replaceAll('~1', '/').replaceAll('~0', '~')],
    contract,
  ) as Node
}
