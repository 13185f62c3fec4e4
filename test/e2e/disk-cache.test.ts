import { readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { ConfigError } from '../../src/config/config.ts'
import { gatewayTo } from '../support/gateway-to.ts'
import { failOnLeaks } from '../support/leaks.ts'
import { temporaryFolder } from '../support/temporary-folder.ts'
import { get } from './http.ts'

failOnLeaks()

const NOWHERE = { host: '127.0.0.1', port: 1 }
const METRICS = ['bytes', 'instances', 'hits_total', 'errors_total'].map((name) => `dimsegate_cache_disk_${name} 0`)

const gatewayWith = (disk: object | null) => gatewayTo(NOWHERE, {}, { cache: { disk } })

describe('a gateway with a disk for its cache', () => {
  it('has its folder there while it runs, and tells of it in its metrics', async () => {
    await using dir = await temporaryFolder()
    const gateway = await gatewayWith({ dir: dir.path })
    expect(await readdir(dir.path)).toHaveLength(1)
    const metrics = (await get(new URL('/metrics', gateway.url).href)).body.toString()
    expect(metrics.split('\n')).toEqual(expect.arrayContaining(METRICS))
    await gateway.stop()
    expect(await readdir(dir.path)).toEqual([])
  })

  it('does not start where the folder cannot be used, and says why', async () => {
    await using dir = await temporaryFolder()
    const file = join(dir.path, 'file')
    await writeFile(file, '')
    const expected = 'expected a folder that is there and can be written'
    for (const [path, reason] of [
      [join(dir.path, 'none'), 'does not exist'],
      [file, 'is not a folder'],
    ] as const) {
      const failure = await gatewayWith({ dir: path }).catch((error: unknown) => error)
      expect(failure).toBeInstanceOf(ConfigError)
      expect((failure as ConfigError).faults).toEqual([{ path: 'cache.disk.dir', message: `${reason}; ${expected}` }])
    }
  })

  it('without one has no such metrics', async () => {
    await using gateway = await gatewayWith(null)
    const metrics = (await get(new URL('/metrics', gateway.url).href)).body.toString()
    expect(metrics).toContain('dimsegate_cache_bytes')
    expect(metrics).not.toContain('dimsegate_cache_disk')
  })
})
