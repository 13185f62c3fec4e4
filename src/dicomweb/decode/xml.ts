import sax from 'sax'
import { Breather } from '../../dicom/breather.ts'
import { MAX_NESTING } from '../../dicom/element-reader.ts'
import { formatTag, isPrivate, parseTag } from '../../dicom/tag.ts'
import { NAME_GROUPS } from '../encode/encoded-model.ts'
import { ModelError } from './model-error.ts'

/** Entities of XML's own, and no others. */
const OPTIONS: sax.SAXOptions & { strictEntities: boolean } = { xmlns: true, strictEntities: true }
/** Characters that are parsed without a look at the time. */
const STEP = 16_384
/** A declaration: neither a comment nor CDATA. */
const DECLARATION = /<!(?!--|\[CDATA\[)/
/** Attributes of an XML element: the model has four. */
const MAX_ATTRIBUTES = 16
/** Values that are left out of a document, before those whose numbers say so. */
const MAX_EMPTY_VALUES = 10_000

type Group = (typeof NAME_GROUPS)[number]
const COMPONENTS = ['FamilyName', 'GivenName', 'MiddleName', 'NamePrefix', 'NameSuffix'] as const
type Component = (typeof COMPONENTS)[number]

/** An attribute as DICOM JSON has it. */
interface Member {
  vr?: string
  Value?: unknown[]
  BulkDataURI?: string
  InlineBinary?: string
}

type Model = Record<string, Member>

/** What is open, and takes what is in it. */
type Open =
  | { readonly kind: 'model'; readonly model: Model; readonly path: string; readonly privates: Private[] }
  | { readonly kind: 'attribute'; readonly member: Member; readonly path: string }
  | { readonly kind: 'name'; readonly groups: Partial<Record<Group, string>> }
  | {
      readonly kind: 'group'
      readonly components: Partial<Record<Component, string>>
      readonly take: (text: string) => void
    }
  | { readonly kind: 'text'; text: string; readonly take: (text: string) => void }
  | { readonly kind: 'empty' }

/** A private attribute whose creator says what its block would: gggg00ee (PS3.19 Table A.1.5-2). */
interface Private {
  readonly tag: number
  readonly creator: string
  readonly member: Member
}

/**
 * The Native DICOM Model (PS3.19 A.1) as the DICOM JSON object of the same data set. Elements of other names are refused:
 * what is not understood is not left out.
 * @throws ModelError
 */
export async function modelOfXml(text: string): Promise<object> {
  // Reading such a declaration takes sax quadratic time; its entities may be of any size.
  if (DECLARATION.test(text)) throw new ModelError('', 'has a document type, which the model has not')
  const reader = new ModelReader()
  const breather = new Breather()
  for (let at = 0; at < text.length; at += STEP) {
    reader.write(text.slice(at, at + STEP))
    if (breather.isDue) await breather.breathe()
  }
  return reader.end()
}

class ModelReader {
  readonly #parser = sax.parser(true, OPTIONS)
  readonly #open: Open[] = []
  #model: Model | undefined
  #empty = 0
  /** Of the element that is being read. */
  #attributes = 0

  constructor() {
    const parser = this.#parser
    parser.onopentag = (node) => this.#begin(node as sax.QualifiedTag)
    parser.onclosetag = () => this.#end()
    parser.onopentagstart = () => void (this.#attributes = 0)
    parser.onattribute = () => {
      this.#attributes++
      if (this.#attributes > MAX_ATTRIBUTES) throw new ModelError(this.#path, 'has an element with too many attributes')
    }
    parser.ontext = (text) => this.#text(text)
    parser.oncdata = (text) => this.#text(text)
    parser.onerror = (cause) => {
      // Its message repeats what was read.
      throw new ModelError('', 'is no well-formed XML', { cause })
    }
  }

  write(text: string): void {
    this.#parser.write(text)
  }

  end(): object {
    this.#parser.close()
    if (!this.#model) throw new ModelError('', 'is no NativeDicomModel')
    return this.#model
  }

  get #path(): string {
    const named = this.#open.findLast((one) => 'path' in one)
    return named?.path.replace(/\/$/, '') ?? ''
  }

  #begin({ local, attributes }: sax.QualifiedTag): void {
    const given = (name: string): string | undefined => attributes[name]?.value
    const around = this.#open.at(-1)
    if (!around) {
      if (local !== 'NativeDicomModel' || this.#model) throw new ModelError('', 'is no NativeDicomModel')
      this.#model = {}
      this.#open.push({ kind: 'model', model: this.#model, path: '', privates: [] })
      return
    }
    if (this.#open.length > 2 * (MAX_NESTING + 4)) {
      throw new ModelError(this.#path, `is nested deeper than ${MAX_NESTING}`)
    }
    const opened = this.#opened(around, local, given)
    if (!opened) throw new ModelError(this.#path, 'has an element that has no place there')
    this.#open.push(opened)
  }

  #opened(around: Open, name: string, given: (name: string) => string | undefined): Open | undefined {
    switch (around.kind) {
      case 'model':
        return name === 'DicomAttribute' ? this.#attribute(around, given) : undefined
      case 'attribute':
        return this.#content(around, name, given)
      case 'name': {
        const group = NAME_GROUPS.find((one) => one === name)
        if (!group) return undefined
        if (around.groups[group] !== undefined) throw new ModelError(this.#path, `has a name with two of ${group}`)
        around.groups[group] = ''
        return { kind: 'group', components: {}, take: (text) => void (around.groups[group] = text) }
      }
      case 'group': {
        const component = COMPONENTS.find((one) => one === name)
        if (!component) return undefined
        const { components } = around
        if (components[component] !== undefined) throw new ModelError(this.#path, `has a name with two of ${component}`)
        components[component] = ''
        return textInto((text) => {
          // They would be other components, or other groups.
          if (/[\^=]/.test(text)) throw new ModelError(this.#path, `has a ${component} with a delimiter`)
          components[component] = text
        })
      }
      default:
        return undefined
    }
  }

  #attribute(around: Open & { kind: 'model' }, given: (name: string) => string | undefined): Open {
    const t = parseTag(given('tag') ?? '')
    if (t === undefined) throw new ModelError(this.#path, 'has an attribute without a tag of eight digits')
    const vr = given('vr')
    const member: Member = vr === undefined ? {} : { vr }
    const creator = given('privateCreator')
    const key = formatTag(t)
    if (creator !== undefined && isPrivate(t) && (t & 0xff00) === 0) {
      around.privates.push({ tag: t, creator, member })
    } else {
      if (Object.hasOwn(around.model, key)) throw new ModelError(around.path + key, 'is there twice')
      around.model[key] = member
    }
    return { kind: 'attribute', member, path: around.path + key }
  }

  #content(
    { member, path }: Open & { kind: 'attribute' },
    name: string,
    given: (name: string) => string | undefined,
  ): Open | undefined {
    switch (name) {
      case 'Value':
        return textInto(this.#placed(member, path, given('number')))
      case 'Item': {
        const model: Model = {}
        const index = this.#placed(member, path, given('number'))(model)
        return { kind: 'model', model, path: `${path}/${index}/`, privates: [] }
      }
      case 'PersonName': {
        const groups: Partial<Record<Group, string>> = {}
        this.#placed(member, path, given('number'))(groups)
        return { kind: 'name', groups }
      }
      case 'InlineBinary':
        if (member.InlineBinary !== undefined) throw new ModelError(path, 'has two values')
        return textInto((text) => void (member.InlineBinary = text))
      case 'BulkData': {
        const uri = given('uri') ?? given('uuid')
        if (member.BulkDataURI !== undefined) throw new ModelError(path, 'has two values')
        if (uri === undefined) throw new ModelError(path, 'has BulkData without a uri or uuid')
        member.BulkDataURI = uri
        return { kind: 'empty' }
      }
      default:
        return undefined
    }
  }

  /** Puts a value at its number, which is from 1; what is left out before it is null. Returns its place from 0. */
  #placed(member: Member, path: string, number: string | undefined): (value: unknown) => number {
    const values = (member.Value ??= [])
    const place = number === undefined ? values.length : Number(number) - 1
    // One that was there already, or none.
    if (!Number.isInteger(place) || place < values.length)
      throw new ModelError(path, 'has a value without its own number')
    this.#empty += place - values.length
    if (this.#empty > MAX_EMPTY_VALUES) throw new ModelError(path, 'leaves out too many values')
    while (values.length <= place) values.push(null)
    return (value) => {
      values[place] = value
      return place
    }
  }

  #end(): void {
    const closed = this.#open.pop()
    switch (closed?.kind) {
      case 'text':
        closed.take(closed.text)
        return
      case 'group': {
        const texts = COMPONENTS.map((one) => closed.components[one] ?? '')
        closed.take(texts.slice(0, texts.findLastIndex((text) => text !== '') + 1).join('^'))
        return
      }
      case 'model':
        placePrivates(closed.model, closed.privates, closed.path)
        return
      default:
    }
  }

  #text(text: string): void {
    const open = this.#open.at(-1)
    if (open?.kind === 'text') open.text += text
    else if (text.trim() !== '') throw new ModelError(this.#path, 'has text between its elements')
  }
}

function textInto(take: (text: string) => void): Open {
  return { kind: 'text', text: '', take }
}

/** Gives private attributes the block that their creator has in their item, or the next that is free (PS3.5 7.8.1). */
function placePrivates(model: Model, privates: readonly Private[], path: string): void {
  const placed = new Map<string, number>()
  for (const { tag, creator, member } of privates) {
    const group = `${tag >>> 16} ${creator}`
    const block = placed.get(group) ?? blockOf(model, tag, creator, path)
    placed.set(group, block)
    const key = formatTag((tag | (block << 8)) >>> 0)
    if (Object.hasOwn(model, key)) throw new ModelError(path + key, 'is there twice')
    model[key] = member
  }
}

function blockOf(model: Model, tag: number, creator: string, path: string): number {
  const blocks = Array.from({ length: LAST_BLOCK - FIRST_BLOCK + 1 }, (_, index) => FIRST_BLOCK + index)
  const keyOf = (block: number): string => formatTag(((tag & 0xffff0000) | block) >>> 0)
  const own = blocks.find((block) => model[keyOf(block)]?.Value?.[0] === creator)
  const block = own ?? blocks.find((one) => !model[keyOf(one)])
  if (block === undefined) throw new ModelError(path + formatTag(tag), 'finds no block that is free')
  model[keyOf(block)] ??= { vr: 'LO', Value: [creator] }
  return block
}

/** Blocks of private attributes. */
const [FIRST_BLOCK, LAST_BLOCK] = [0x10, 0xff]
