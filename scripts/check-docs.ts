/**
 * Holds the documentation to the code: node scripts/check-docs.ts. Links lead somewhere; files, npm scripts, metrics,
 * configuration keys, variables, constants and error codes that are named exist, constants in the file beside them and with their value; every metric, error code and proposed UID is told of.
 */
import { existsSync, globSync, readFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { everyKey, pathText } from '../src/config/tree.ts'
import { variableName } from '../src/config/environment.ts'
import { encapsulatedSyntaxes } from '../src/dicom/transfer-syntax.ts'
import { frequentStorageClasses } from '../src/dicom/uids.ts'

const ROOT = resolve(import.meta.dirname, '..')
const DOCUMENTS = ['README.md', 'CONTRIBUTING.md', 'CHANGELOG.md', 'docs/**/*.md']
/** Where what is named in capitals may be defined. */
const SOURCES = [
  'src/**/*.ts',
  'scripts/*.ts',
  'fuzz/*.ts',
  'soak/*.ts',
  'test/support/*.ts',
  'k8s/**/*.yaml',
  '.ci/run',
  'Dockerfile',
]
/** Variables that docs/configuration.md says are not ours. */
const FOREIGN_VARIABLES = ['DIMSEGATE_SERVICE_HOST', 'DIMSEGATE_PORT']

/** What the code has that documentation may name. */
export interface Facts {
  readonly metrics: ReadonlySet<string>
  /** Dotted, with `[]` for an index. */
  readonly configKeys: ReadonlySet<string>
  readonly variables: ReadonlySet<string>
  readonly errorCodes: ReadonlySet<string>
  readonly npmScripts: ReadonlySet<string>
  /** Every word in capitals of the sources. */
  readonly words: ReadonlySet<string>
}

export function readFacts(root = ROOT): Facts {
  const read = (path: string): string => readFileSync(join(root, path), 'utf8')
  const every = (patterns: readonly string[]): string[] => globSync([...patterns], { cwd: root }).map(read)
  const telemetry = every(['src/telemetry/*.ts']).join('\n')
  const keys = [...everyKey()].map(({ path }) => path)
  const { scripts } = JSON.parse(read('package.json')) as { scripts: Record<string, string> }
  return {
    metrics: new Set(matches(telemetry, /'(dimsegate_\w+)'/g)),
    configKeys: new Set(keys.map((path) => pathText(path).replaceAll('[0]', '[]'))),
    variables: new Set([...keys.map(variableName), 'DIMSEGATE_CONFIG', ...FOREIGN_VARIABLES]),
    errorCodes: new Set([
      ...problemCodes(read('src/http/problem.ts')),
      ...every(['src/http/**/*.ts']).flatMap(requestCodes),
    ]),
    npmScripts: new Set(Object.keys(scripts)),
    words: new Set(every(SOURCES).flatMap((source) => source.match(/\b[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+\b/g) ?? [])),
  }
}

/** Codes of src/http/problem.ts: the keys of its table, and those it gives itself. */
function problemCodes(source: string): string[] {
  return [...matches(source, /^ {2}([A-Z][A-Z_]+): \{ ?(?:status|$)/gm), ...matches(source, /code: '([A-Z_]+)'/g)]
}

function requestCodes(source: string): string[] {
  return matches(source, /new RequestError\(\s*\d{3},\s*'([A-Z_]+)'/g)
}

/** What is wrong in one document; `path` is its place below `root`. */
export function faultsOf(path: string, text: string, facts: Facts, root = ROOT): string[] {
  const prose = text.replace(/^```[^]*?^```$/gm, '')
  const spans = matches(prose, /`([^`\n]+)`/g)
  return [
    ...matches(prose.replace(/`[^`\n]+`/g, ''), /\]\(([^)\s]+)\)/g).flatMap((link) =>
      linkFault(path, text, link, root),
    ),
    ...matches(text, /\b(dimsegate_[a-z_]+)/g).flatMap((name) =>
      facts.metrics.has(name.replace(/_(bucket|sum|count)$/, '')) ? [] : `no metric is called ${name}`,
    ),
    ...matches(text, /\b(DIMSEGATE_[A-Z0-9_]*[A-Z0-9])\b/g).flatMap((name) =>
      facts.variables.has(name.replace(/__\d+/g, '__0')) || facts.words.has(name)
        ? []
        : `no variable is called ${name}`,
    ),
    ...matches(text, /\bnpm run ([a-z:]+)/g).flatMap((name) =>
      facts.npmScripts.has(name) ? [] : `package.json has no script ${name}`,
    ),
    ...spans.flatMap((span) => spanFault(span, facts, root)),
    ...prose.split('\n').flatMap((line) => placeFaults(line, root)),
  ]
}

/** A line that names constants and files says that they are there, and what their values are. */
function placeFaults(line: string, root: string): string[] {
  const files = matches(line, /`(src\/[\w./-]+\.ts)`/g).filter((file) => existsSync(join(root, file)))
  const constants = files.length === 0 ? [] : matches(line, /`([A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+)`/g)
  const sources = files.map((file) => readFileSync(join(root, file), 'utf8'))
  return constants.flatMap((name) => {
    if (!sources.some((source) => source.includes(name))) return `${name} is not in ${files.join(', ')}`
    const values = sources.flatMap((source) => numberOf(name, source) ?? [])
    return values
      .filter((value) => !spellings(name, value).some((text) => line.includes(text)))
      .map((value) => {
        return `${name} is ${value}`
      })
  })
}

/** The value of a constant that is a number, or a product or power of numbers. */
function numberOf(name: string, source: string): number | undefined {
  const expression = new RegExp(`const ${name} = ([\\d_* ]+)\\n`).exec(source)?.[1]
  if (expression === undefined) return undefined
  const factors = expression.replaceAll('_', '').split(/(?<!\*)\*(?!\*)/)
  return factors.reduce((product, factor) => {
    const [base = '', exponent = '1'] = factor.split('**')
    return product * Number(base) ** Number(exponent)
  }, 1)
}

function spellings(name: string, value: number): string[] {
  const plain = [String(value), value.toLocaleString('en')]
  if (name.endsWith('_MS')) return [...plain, `${value} ms`, `${value / 1000} s`]
  const units = [1024, 1024 ** 2, 1024 ** 3].map((size, at) => `${value / size} ${['KiB', 'MiB', 'GiB'][at]!}`)
  return [...plain, ...units]
}

function spanFault(span: string, facts: Facts, root: string): string[] {
  if (/^(http|dimse|archives|cache|auth|log)(\[\d*\])?(\.[a-zA-Z]+)+$/.test(span)) {
    const key = span.replace(/\[\d+\]/g, '[]')
    return facts.configKeys.has(key) ? [] : [`no configuration key is called ${span}`]
  }
  if (/^(src|test|scripts|docs|openapi|k8s|bench|soak|\.ci|\.github)\/[\w./-]+$/.test(span)) {
    return existsSync(join(root, span)) ? [] : [`there is no ${span}`]
  }
  if (/^[A-Z][A-Z0-9]*(_[A-Z0-9]+)+$/.test(span) && !span.startsWith('DIMSEGATE_')) {
    return facts.words.has(span) ? [] : [`${span} is nowhere in the code`]
  }
  return []
}

function linkFault(path: string, text: string, link: string, root: string): string[] {
  if (/^[a-z]+:/.test(link)) return []
  const [file = '', anchor] = link.split('#')
  const target = file === '' ? join(root, path) : resolve(root, dirname(path), file)
  if (file !== '' && !existsSync(target)) return [`the link ${link} leads nowhere`]
  if (anchor === undefined || !target.endsWith('.md')) return []
  const headings = matches(file === '' ? text : readFileSync(target, 'utf8'), /^#+ (.+)$/gm).map(slug)
  return headings.includes(anchor) ? [] : [`the link ${link} has no such heading`]
}

/** The anchor that forges make of a heading. */
function slug(heading: string): string {
  const letters = heading.toLowerCase().replace(/[^\p{L}\p{N}\s_-]/gu, '')
  return letters.trim().replace(/\s/g, '-')
}

/** What the documents leave out. */
export function omissions(documents: ReadonlyMap<string, string>, facts: Facts): string[] {
  const uids = [...encapsulatedSyntaxes.map(({ uid }) => uid), ...frequentStorageClasses]
  const due: readonly (readonly [string, Iterable<string>, (name: string) => string])[] = [
    ['docs/errors.md', facts.errorCodes, (code) => `\`${code}\``],
    ['docs/operations.md', facts.metrics, (name) => `\`${name}\``],
    ['docs/conformance.md', uids, (uid) => `| ${uid} `],
  ]
  return due.flatMap(([path, names, written]) => {
    const text = documents.get(path) ?? ''
    return [...names].filter((name) => !text.includes(written(name))).map((name) => `${path}: lacks ${name}`)
  })
}

function matches(text: string, pattern: RegExp): string[] {
  return Array.from(text.matchAll(pattern), ([, group = '']) => group)
}

if (import.meta.main) {
  const facts = readFacts()
  const paths = globSync(DOCUMENTS, { cwd: ROOT }).sort()
  const documents = new Map(paths.map((path) => [path, readFileSync(join(ROOT, path), 'utf8')]))
  const faults = [...documents].flatMap(([path, text]) =>
    faultsOf(path, text, facts).map((fault) => `${path}: ${fault}`),
  )
  const all = [...faults, ...omissions(documents, facts)]
  for (const fault of all) console.error(fault)
  if (all.length > 0) process.exitCode = 1
  else console.log(`${documents.size} documents agree with the code.`)
}
