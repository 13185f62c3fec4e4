import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { Ajv2020 } from 'ajv/dist/2020.js'
import formats from 'ajv-formats'
import { parse } from 'yaml'

/** openapi/dicomweb.yaml as far as the tests look into it. */
export interface Contract {
  readonly servers: readonly { readonly url: string }[]
  readonly paths: Readonly<Record<string, PathItem>>
}

export type PathItem = Readonly<Record<string, Operation>>

export interface Operation {
  readonly operationId: string
  readonly responses: Readonly<Record<string, object>>
}

/** What an operation answers with one status. */
export interface DescribedResponse {
  readonly headers: Readonly<Record<string, { readonly required: boolean; readonly pointer: string }>>
  /** Media type as the document writes it → pointer to its schema. */
  readonly content: ReadonlyMap<string, string>
  readonly examples: readonly { readonly schema: string; readonly example: unknown }[]
}

const path = fileURLToPath(new URL('../../openapi/dicomweb.yaml', import.meta.url))
const document = parse(readFileSync(path, 'utf8')) as Contract

export function contract(): Contract {
  return document
}

const ajv = new Ajv2020({ strict: false, allErrors: true, validateFormats: true })
formats.default(ajv)
ajv.addSchema(document, 'contract')

/** What is wrong with a value by the schema a pointer leads to; nothing when it is valid. */
export function faults(pointer: string, value: unknown): string[] {
  const validate = ajv.getSchema(`contract${pointer}`)
  if (!validate) throw new Error(`The contract has nothing at ${pointer}`)
  if (validate(value) === true) return []
  return (validate.errors ?? []).map(({ instancePath, message }) => `${instancePath} ${message ?? 'is wrong'}`)
}

/** A check by one of the document's named schemas. */
export function schemaOf(name: string): (value: unknown) => string[] {
  return (value) => faults(`#/components/schemas/${name}`, value)
}

/** The description of a response, references followed; undefined when the operation does not describe the status. */
export function describedResponse(operation: Operation, status: number): DescribedResponse | undefined {
  const found = operation.responses[String(status)]
  if (!found) return undefined
  const { pointer, value } = resolved(`#/paths/${pathOf(operation)}/responses/${status}`, found)
  const { headers = {}, content = {} } = value as { headers?: Record<string, object>; content?: Record<string, object> }
  const schemaOfType = (type: string): string => `${pointer}/content/${escaped(type)}/schema`
  return {
    headers: Object.fromEntries(
      Object.entries(headers).map(([name, header]) => {
        const target = resolved(`${pointer}/headers/${escaped(name)}`, header)
        const { required = false } = target.value as { required?: boolean }
        return [name, { required, pointer: `${target.pointer}/schema` }]
      }),
    ),
    content: new Map(Object.keys(content).map((type) => [type, schemaOfType(type)])),
    examples: Object.entries(content).flatMap(([type, media]) =>
      'example' in media ? [{ schema: schemaOfType(type), example: media.example }] : [],
    ),
  }
}

/** `path/method`, as a pointer has it. */
function pathOf(operation: Operation): string {
  for (const [name, item] of Object.entries(document.paths)) {
    for (const [method, one] of Object.entries(item)) if (one === operation) return `${escaped(name)}/${method}`
  }
  throw new Error(`${operation.operationId} is not of the contract`)
}

function resolved(pointer: string, value: object): { pointer: string; value: object } {
  if (!('$ref' in value)) return { pointer, value }
  const target = String(value.$ref)
  let found: unknown = document
  for (const step of target.slice(2).split('/')) {
    found = (found as Record<string, unknown>)[step.replaceAll('~1', '/').replaceAll('~0', '~')]
  }
  return resolved(target, found as object)
}

function escaped(step: string): string {
  return encodeURIComponent(step.replaceAll('~', '~0').replaceAll('/', '~1'))
}
