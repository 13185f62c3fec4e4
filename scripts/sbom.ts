/**
 * What a release is made of, as CycloneDX 1.5: node scripts/sbom.ts. `npm sbom --omit dev` leaves out what a development
 * dependency has too, and knows nothing of the files of others in this repository; so this goes by package-lock.json and
 * scripts/vendored.ts, and needs neither network nor node_modules.
 */
import { randomUUID } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { VENDORED, type Vendored } from './vendored.ts'

const ROOT = resolve(import.meta.dirname, '..')

/** A package as package-lock.json (version 3) has it. */
export interface LockedPackage {
  readonly name?: string
  readonly version: string
  readonly license?: string
  readonly integrity?: string
  /** For development only. What is for both has no mark, or devOptional. */
  readonly dev?: boolean
  readonly optional?: boolean
  readonly devOptional?: boolean
  readonly dependencies?: Readonly<Record<string, string>>
  readonly optionalDependencies?: Readonly<Record<string, string>>
  readonly peerDependencies?: Readonly<Record<string, string>>
}

export interface Lock {
  /** By place, such as node_modules/a/node_modules/b; the project itself is at ''. */
  readonly packages: Readonly<Record<string, LockedPackage>>
}

export interface Component {
  readonly type: 'application' | 'library' | 'file'
  readonly 'bom-ref': string
  readonly name: string
  readonly version: string
  readonly description?: string
  readonly scope?: 'required' | 'optional'
  readonly hashes?: readonly { readonly alg: string; readonly content: string }[]
  readonly licenses: readonly ({ readonly license: { readonly id: string } } | { readonly expression: string })[]
  readonly purl: string
}

export interface Sbom {
  readonly bomFormat: 'CycloneDX'
  readonly specVersion: '1.5'
  readonly serialNumber: string
  readonly version: number
  readonly metadata: { readonly timestamp: string; readonly component: Component }
  readonly components: readonly Component[]
  readonly dependencies: readonly { readonly ref: string; readonly dependsOn: readonly string[] }[]
}

/** The document for what a lock file installs without development dependencies, and the files of others. */
export function sbomOf(lock: Lock, vendored: readonly Vendored[]): Sbom {
  const packages = Object.entries(lock.packages).filter(([, { dev }]) => dev !== true)
  const all = packages.map(([place, one]) => ({ place, one, component: componentOf(place, one) }))
  const project = all.find(({ place }) => place === '')
  if (!project) throw new Error('The lock file does not name its project')
  const files = vendored.map(fileOf)
  const ref = new Map(all.map(({ place, component }) => [place, component['bom-ref']]))
  // One package may be installed in several places.
  const dependsOn = new Map<string, Set<string>>()
  for (const { place, one, component } of all) {
    const of = dependsOn.get(component['bom-ref']) ?? new Set()
    for (const name of namesOf(one)) {
      const found = ref.get(placeOf(name, place, lock) ?? '')
      if (found !== undefined && found !== project.component['bom-ref']) of.add(found)
    }
    if (place === '') for (const file of files) of.add(file['bom-ref'])
    dependsOn.set(component['bom-ref'], of)
  }
  for (const file of files) dependsOn.set(file['bom-ref'], new Set())
  const libraries = all.filter(({ place }) => place !== '').map(({ component }) => component)
  return {
    bomFormat: 'CycloneDX',
    specVersion: '1.5',
    serialNumber: `urn:uuid:${randomUUID()}`,
    version: 1,
    metadata: { timestamp: new Date().toISOString(), component: project.component },
    components: [...new Map([...libraries, ...files].map((one) => [one['bom-ref'], one])).values()],
    dependencies: [...dependsOn].map(([from, to]) => ({ ref: from, dependsOn: [...to].sort() })),
  }
}

function componentOf(place: string, one: LockedPackage): Component {
  const name = one.name ?? place.slice(place.lastIndexOf('node_modules/') + 'node_modules/'.length)
  const purl = npmPurl(name, one.version)
  const isOptional = one.optional === true || one.devOptional === true
  return {
    type: place === '' ? 'application' : 'library',
    'bom-ref': purl,
    name,
    version: one.version,
    ...(place !== '' && { scope: isOptional ? 'optional' : 'required' }),
    ...(one.integrity !== undefined && { hashes: hashesOf(one.integrity) }),
    licenses: one.license === undefined ? [] : [licenceOf(one.license)],
    purl,
  }
}

function fileOf({ file, digest, registry, name, version, licence }: Vendored): Component {
  const purl = registry === 'npm' ? npmPurl(name, version) : `pkg:deb/debian/${name}@${version}`
  return {
    type: file.endsWith('.wasm') ? 'library' : 'file',
    'bom-ref': file,
    name,
    version,
    description: `The file ${file}; what is in it, and its licences: LICENSES.txt beside it`,
    scope: 'required',
    hashes: [{ alg: 'SHA-256', content: digest }],
    licenses: [licenceOf(licence)],
    purl,
  }
}

function npmPurl(name: string, version: string): string {
  return `pkg:npm/${name.replace('@', '%40')}@${version}`
}

/** One identifier of SPDX, or an expression of several. */
function licenceOf(spdx: string): Component['licenses'][number] {
  return spdx.includes(' ') ? { expression: spdx } : { license: { id: spdx } }
}

/** `sha512-` and base64, which may be several with spaces between. */
function hashesOf(integrity: string): NonNullable<Component['hashes']> {
  return integrity.split(' ').map((one) => {
    const [algorithm = '', content = ''] = one.split('-', 2)
    return {
      alg: algorithm.toUpperCase().replace('SHA', 'SHA-'),
      content: Buffer.from(content, 'base64').toString('hex'),
    }
  })
}

function namesOf({ dependencies, optionalDependencies, peerDependencies }: LockedPackage): Set<string> {
  return new Set([dependencies, optionalDependencies, peerDependencies].flatMap((some) => Object.keys(some ?? {})))
}

/** Where Node finds a package by its name from another's place; undefined where it is not installed. */
function placeOf(name: string, from: string, { packages }: Lock): string | undefined {
  for (let folder = from; ; folder = folder.slice(0, Math.max(0, folder.lastIndexOf('/node_modules/')))) {
    const place = folder === '' ? `node_modules/${name}` : `${folder}/node_modules/${name}`
    if (packages[place]) return place
    if (folder === '') return undefined
  }
}

if (import.meta.main) {
  const lock = JSON.parse(readFileSync(resolve(ROOT, 'package-lock.json'), 'utf8')) as Lock
  process.stdout.write(`${JSON.stringify(sbomOf(lock, VENDORED), null, 2)}\n`)
}
