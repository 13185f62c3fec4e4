import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { describe, expect, it } from 'vitest'
import { sbomOf, type Lock, type Sbom } from '../../scripts/sbom.ts'
import { VENDORED } from '../../scripts/vendored.ts'

const ROOT = resolve(import.meta.dirname, '../..')

function json(file: string): unknown {
  return JSON.parse(readFileSync(resolve(ROOT, file), 'utf8'))
}

describe('what npm run sbom prints', () => {
  const printed = execFileSync(process.execPath, ['scripts/sbom.ts'], { cwd: ROOT, encoding: 'utf8' })
  const sbom = JSON.parse(printed) as Sbom
  const named = new Set(sbom.components.map(({ name, version }) => `${name}@${version}`))

  it('is what the script of the package runs', () => {
    const { scripts } = json('package.json') as { scripts: Record<string, string> }
    expect(scripts['sbom']).toBe('node scripts/sbom.ts')
  })

  it('has every dependency, also those that a development dependency has too, as dependencies of the project', () => {
    const { name, version, dependencies } = json('package.json') as {
      name: string
      version: string
      dependencies: Record<string, string>
    }
    expect(sbom.metadata.component).toMatchObject({ name, version })
    const own = sbom.dependencies.find(({ ref }) => ref === sbom.metadata.component['bom-ref'])
    const reached = sbom.components.filter((one) => own?.dependsOn.includes(one['bom-ref'])).map((one) => one.name)
    expect(reached).toEqual(expect.arrayContaining(Object.keys(dependencies)))
  })

  it('has every package that is not for development only, and no other', () => {
    const { packages } = json('package-lock.json') as Lock
    const locked = Object.entries(packages).flatMap(([place, { dev, version }]) =>
      place === '' || dev === true ? [] : [`${place.split('node_modules/').at(-1)!}@${version}`],
    )
    expect(locked.length).toBeGreaterThan(30)
    expect(named).toEqual(new Set([...locked, ...VENDORED.map(({ name, version }) => `${name}@${version}`)]))
  })

  it.each(VENDORED)('has $file, with its licence and digest', ({ file, name, version, licence, digest }) => {
    const found = sbom.components.find((one) => one['bom-ref'] === file)
    expect(found).toMatchObject({ name, version, hashes: [{ alg: 'SHA-256', content: digest }] })
    expect(JSON.stringify(found?.licenses)).toContain(`"${licence}"`)
    const own = sbom.dependencies.find(({ ref }) => ref === sbom.metadata.component['bom-ref'])
    expect(own?.dependsOn).toContain(file)
  })

  it('tells of each component once, with licence, version and digest, and refers to none that is not there', () => {
    const refs = [sbom.metadata.component, ...sbom.components].map((one) => one['bom-ref'])
    expect(new Set(refs).size).toBe(refs.length)
    expect(sbom.dependencies.map(({ ref }) => ref).sort()).toEqual([...refs].sort())
    for (const { dependsOn } of sbom.dependencies) expect(refs).toEqual(expect.arrayContaining([...dependsOn]))
    for (const one of sbom.components) {
      expect(`${one.name} ${one.version}`).toMatch(/^\S+ \d/)
      expect(one.licenses).toHaveLength(1)
      expect(one.hashes?.[0]?.content).toMatch(/^[0-9a-f]{64,128}$/)
    }
  })
})

describe('a lock file as CycloneDX', () => {
  const lock: Lock = {
    packages: {
      '': { name: 'all', version: '1.0.0', license: 'MIT', dependencies: { a: '^1', '@s/b': '^2' } },
      'node_modules/a': { version: '1.1.0', license: 'MIT', dependencies: { c: '^1' } },
      'node_modules/a/node_modules/c': { version: '1.5.0', license: 'MIT OR ISC', integrity: 'sha512-/w==' },
      'node_modules/@s/b': { version: '2.0.0', optionalDependencies: { c: '^2', gone: '^1' } },
      'node_modules/c': { version: '2.2.0', devOptional: true },
      'node_modules/d': { version: '3.0.0', dev: true, dependencies: { a: '^1' } },
    },
  }
  const { components, dependencies } = sbomOf(lock, [])

  it('leaves out what is for development only', () => {
    expect(components.map(({ purl, scope }) => `${purl} ${scope!}`)).toEqual([
      'pkg:npm/a@1.1.0 required',
      'pkg:npm/c@1.5.0 required',
      'pkg:npm/%40s/b@2.0.0 required',
      'pkg:npm/c@2.2.0 optional',
    ])
  })

  it('has each package depend on the version that Node finds from there', () => {
    expect(dependencies).toEqual([
      { ref: 'pkg:npm/all@1.0.0', dependsOn: ['pkg:npm/%40s/b@2.0.0', 'pkg:npm/a@1.1.0'] },
      { ref: 'pkg:npm/a@1.1.0', dependsOn: ['pkg:npm/c@1.5.0'] },
      { ref: 'pkg:npm/c@1.5.0', dependsOn: [] },
      { ref: 'pkg:npm/%40s/b@2.0.0', dependsOn: ['pkg:npm/c@2.2.0'] },
      { ref: 'pkg:npm/c@2.2.0', dependsOn: [] },
    ])
  })

  it('writes licences by SPDX and digests in hexadecimal', () => {
    expect(components[0]?.licenses).toEqual([{ license: { id: 'MIT' } }])
    expect(components[1]).toMatchObject({
      licenses: [{ expression: 'MIT OR ISC' }],
      hashes: [{ alg: 'SHA-512', content: 'ff' }],
    })
    expect(components[2]?.licenses).toEqual([])
  })
})
