import { globSync, readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { describe, expect, it } from 'vitest'
import { isAsPublished, VENDORED } from '../../scripts/vendored.ts'

const ROOT = resolve(import.meta.dirname, '../..')

describe('files of others', () => {
  it.each(VENDORED.map((one) => [one.file, one] as const))('are as they were published: %s', (file, vendored) => {
    const bytes = readFileSync(resolve(ROOT, file))
    expect(isAsPublished(bytes, vendored)).toBe(true)
    bytes[bytes.length >> 1]! ^= 1
    expect(isAsPublished(bytes, vendored)).toBe(false)
  })

  it('are all known, and have their licences beside them', () => {
    const kept = globSync(['vendor/**/*.wasm', 'fonts/*.tt[cf]'], { cwd: ROOT })
    expect(kept.sort()).toEqual(VENDORED.map(({ file }) => file).sort())
    for (const file of kept) {
      const licences = readFileSync(resolve(ROOT, file, '../LICENSES.txt'), 'utf8')
      expect(licences).toContain(file.split('/').at(-1))
    }
  })

  it('are shipped in the package and in the image', () => {
    const { files } = JSON.parse(readFileSync(resolve(ROOT, 'package.json'), 'utf8')) as { files: string[] }
    for (const folder of new Set(VENDORED.map(({ file }) => file.split('/')[0]!))) {
      expect(files).toContain(folder)
      expect(readFileSync(resolve(ROOT, 'Dockerfile'), 'utf8')).toContain(`COPY ${folder} ./${folder}`)
      expect(readFileSync(resolve(ROOT, '.dockerignore'), 'utf8')).toContain(`!${folder}\n`)
    }
    expect(files).toContain('NOTICE')
  })
})
