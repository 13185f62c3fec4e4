import { mkdtemp, rename, rm, symlink, unlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { watchFiles } from '../../src/pacs/files-watch.ts'
import { eventually } from '../support/eventually.ts'

const EVERY = 20

describe('files that are watched', () => {
  let folder: string
  let stop: () => void
  let changes: number
  let failures: number

  const watch = (...names: string[]): void => {
    const changed = (): Promise<void> => (failures-- > 0 ? Promise.reject(new Error('not yet')) : Promise.resolve())
    const paths = names.map((name) => join(folder, name))
    stop = watchFiles(paths, () => (changes++, changed()), EVERY)
  }
  /** In one step: of one that is written in place a look may see the half. */
  const replace = async (content: string): Promise<void> => {
    await writeFile(join(folder, 'new'), content)
    await rename(join(folder, 'new'), join(folder, 'a'))
  }
  const looks = (count: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, count * EVERY))

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'dimsegate-watch-'))
    changes = 0
    failures = 0
    await writeFile(join(folder, 'a'), '1')
  })

  afterEach(async () => {
    stop()
    await rm(folder, { recursive: true, force: true })
  })

  it('are told of once when they change', async () => {
    watch('a')
    await looks(4)
    expect(changes).toBe(0)
    await replace('22')
    await eventually(() => expect(changes).toBe(1))
    await looks(4)
    expect(changes).toBe(1)
  })

  it('are told of when a link leads elsewhere, as Kubernetes replaces them', async () => {
    await writeFile(join(folder, 'b'), '2')
    await symlink('a', join(folder, 'link'))
    watch('link')
    await looks(4)
    await symlink('b', join(folder, 'new'))
    await rename(join(folder, 'new'), join(folder, 'link'))
    await eventually(() => expect(changes).toBe(1))
  })

  it('are told of again where they could not be used, until they can', async () => {
    failures = 2
    watch('a')
    await looks(4)
    await replace('333')
    await eventually(() => expect(changes).toBe(3))
    await looks(4)
    expect(changes).toBe(3)
  })

  it('may go and come again', async () => {
    watch('a', 'never')
    await looks(4)
    await unlink(join(folder, 'a'))
    await eventually(() => expect(changes).toBe(1))
    await replace('1')
    await eventually(() => expect(changes).toBe(2))
  })
})
