import { createClient } from '@redis/client'
import { afterEach, describe, expect, it } from 'vitest'
import { ControlPlane, script } from '../../src/cluster/control-plane.ts'
import { Balancer } from '../support/balancer.ts'
import { keeper } from '../support/kept.ts'
import { failOnLeaks } from '../support/leaks.ts'
import { published } from '../support/published.ts'
import { skipWithoutValkey, startValkey } from '../support/valkey.ts'

failOnLeaks()

const kept = keeper()
const told = published('dimsegate:control-plane')
const COUNT = script("return redis.call('INCR', KEYS[1])")

async function opened(port: number): Promise<ControlPlane> {
  const plane = kept(new ControlPlane({ url: `redis://127.0.0.1:${port}`, ca: undefined }))
  await plane.open()
  return plane
}

const closing: (() => void)[] = []
afterEach(() => closing.splice(0).forEach((close) => close()))

/** An operator's commands. */
async function command(port: number, ...words: readonly string[]): Promise<void> {
  const client = createClient({ url: `redis://127.0.0.1:${port}`, disableClientInfo: true })
  await client.connect()
  closing.push(() => client.destroy())
  await client.sendCommand(words)
}

describe.skipIf(skipWithoutValkey())('the server that replicas share', () => {
  it('is there though it answers one command by an error', async () => {
    const { port } = kept(await startValkey())
    const plane = await opened(port)
    // As a busy server, or one that cannot write its file, does for a while.
    await command(port, 'ACL', 'SETUSER', 'default', '-ping')
    await new Promise((resolve) => setTimeout(resolve, 1_500))
    expect(await plane.run(COUNT, ['a'], [])).toBe(1)
    expect(plane.isUp).toBe(true)
    expect(told.map(({ event }) => event)).toEqual(['found'])
  })

  it('is looked for anew where it may not be written to any more, as behind a failover', async () => {
    const [before, after] = [kept(await startValkey()), kept(await startValkey())]
    const service = kept(await Balancer.start([before.port]))
    const plane = await opened(service.port)
    expect(await plane.run(COUNT, ['a'], [])).toBe(1)
    await command(before.port, 'REPLICAOF', '127.0.0.1', String(after.port))
    service.targets = [after.port]
    await expect(plane.run(COUNT, ['a'], [])).rejects.toMatchObject({ code: 'CLUSTER_UNAVAILABLE' })
    await expect.poll(() => plane.run(COUNT, ['b'], []).catch(() => undefined), { timeout: 5_000 }).toBe(1)
    expect(told.map(({ event }) => event)).toEqual(['found', 'lost', 'found'])
  })

  it('need not be there at first', async () => {
    const valkey = kept(await startValkey())
    await valkey.program.kill()
    const plane = await opened(valkey.port)
    expect(plane.isUp).toBe(false)
    await expect(plane.run(COUNT, ['a'], [])).rejects.toMatchObject({ code: 'CLUSTER_UNAVAILABLE' })
    await valkey.program.restart()
    await expect.poll(() => plane.isUp, { timeout: 10_000 }).toBe(true)
    expect(told.map(({ event }) => event)).toEqual(['lost', 'found'])
  })

  it('may hold an error of a script against its replica, which goes on', async () => {
    const { port } = kept(await startValkey())
    const plane = await opened(port)
    await expect(plane.run(script("return redis.call('NONE')"), [], [])).rejects.toMatchObject({
      code: 'CLUSTER_UNAVAILABLE',
    })
    expect(await plane.run(COUNT, ['a'], [])).toBe(1)
  })
})
