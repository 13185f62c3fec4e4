import { setTimeout as delay } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { SopClass } from '../../../src/dicom/uids.ts'
import { AssociationPool } from '../../../src/pacs/pool/pool.ts'
import type { Lease } from '../../../src/pacs/pool/lease.ts'
import type { Proposal } from '../../../src/pacs/pool/proposal.ts'
import { eventually } from '../../support/eventually.ts'
import { CT, EXPLICIT_LE, IMPLICIT_LE, readRequest } from '../../support/golden.ts'
import { keeper } from '../../support/kept.ts'
import { failOnLeaks } from '../../support/leaks.ts'
import { ScriptedArchive } from '../../support/scripted-archive.ts'

// Archives that accept nothing while another association has what they take, as dcmqrscp --no-parallel-store.

failOnLeaks()

const kept = keeper()
const MR = '1.2.840.10008.5.1.4.1.1.4'
const never = { signal: new AbortController().signal, priority: 'bulk' } as const

const proposalOf = (abstractSyntax: string, transferSyntax = EXPLICIT_LE): Proposal => ({
  contexts: [{ id: 1, abstractSyntax, transferSyntaxes: [transferSyntax] }],
})
const store = proposalOf(CT)
/** The same class another way, so that an idle association of `store` is none for it. */
const again = { contexts: [...store.contexts, { id: 3, abstractSyntax: MR, transferSyntaxes: [EXPLICIT_LE] }] }
const query = proposalOf(SopClass.studyRootFind, IMPLICIT_LE)

/** `refuses`: whether the archive refuses all storage contexts, while so many associations stand that have some. */
async function start(
  refuses: (storing: number) => boolean,
  queue = 5_000,
): Promise<{ archive: ScriptedArchive; pool: AssociationPool }> {
  const storing = new Set<number>()
  const archive: ScriptedArchive = kept(
    await ScriptedArchive.start({
      associate(request, index) {
        const { contexts } = readRequest(request)
        const wanted = contexts.filter(({ abstractSyntax }) => abstractSyntax === CT || abstractSyntax === MR)
        for (const one of storing) if (archive.associations[one]?.ended !== undefined) storing.delete(one)
        if (wanted.length === 0) return undefined
        if (refuses(storing.size)) return { answers: Object.fromEntries(wanted.map(({ id }) => [id, 1])) }
        storing.add(index)
        return undefined
      },
    }),
  )
  const pool = new AssociationPool({
    archive: 'main',
    maxAssociations: 4,
    timeouts: { idle: 60_000, queue },
    request: {
      address: archive.address,
      calledAeTitle: 'PACS',
      callingAeTitle: 'GATE',
      maxPduLength: 16384,
      timeouts: { connect: 5_000, associate: 5_000 },
    },
  })
  kept({ [Symbol.asyncDispose]: () => pool.close() })
  return { archive, pool }
}

const acceptedOf = ({ association }: Lease): number => association.contexts.size

describe('an archive that takes storage contexts in one association at a time', () => {
  const isTaken = (storing: number): boolean => storing > 0

  it('is asked again when the idle association that has them is released', async () => {
    const { archive, pool } = await start(isTaken)
    ;(await pool.lease(store, never)).release()
    const lease = await pool.lease(again, never)
    expect(acceptedOf(lease)).toBe(2)
    lease.release()
    expect(archive.associations.map(({ ended }) => ended)).toEqual(['released', 'released', undefined])
    expect(pool.stats).toMatchObject({ open: 1, idle: 1 })
  })

  it('is asked again when the association in use is given back, and searches go on beside it', async () => {
    const { pool } = await start(isTaken)
    const first = await pool.lease(store, never)
    const waiting = [pool.lease(again, never), pool.lease(again, never)]
    const search = await pool.lease(query, { signal: never.signal })
    expect(acceptedOf(search)).toBe(1)
    search.release()
    // They hold no place meanwhile.
    await eventually(() => expect(pool.stats).toMatchObject({ leased: 1, opening: 0, waiting: 2 }))
    first.release()
    const second = await Promise.race(waiting)
    expect(acceptedOf(second)).toBe(2)
    second.release()
    for (const one of waiting) {
      const lease = await one
      expect(acceptedOf(lease)).toBe(2)
      lease.release()
    }
  })

  it('is waited for no longer than for an association', async () => {
    const { pool } = await start(isTaken, 200)
    const first = await pool.lease(store, never)
    await expect(pool.lease(again, never)).rejects.toMatchObject({ code: 'POOL_BUSY' })
    first.release()
    await eventually(() => expect(pool.stats.leased).toBe(0))
  })

  it('is left alone by who has gone', async () => {
    const { pool } = await start(isTaken)
    const first = await pool.lease(store, never)
    const gone = new AbortController()
    const waiting = pool.lease(again, { signal: gone.signal, priority: 'bulk' })
    await eventually(() => expect(pool.stats.waiting).toBe(1))
    gone.abort(new Error('gone'))
    await expect(waiting).rejects.toThrow('gone')
    first.release()
    await eventually(() => expect(pool.stats.leased).toBe(0))
  })
})

describe('many who want what one association has', () => {
  it('get it one after another, and who has it is told', async () => {
    const { archive, pool } = await start((storing) => storing > 0, 20_000)
    let isTold = false
    const first = await pool.lease(store, { ...never, wanted: () => (isTold = true) })
    let [inUse, most] = [0, 0]
    const all = Array.from({ length: 12 }, async () => {
      const lease = await pool.lease(again, never)
      expect(acceptedOf(lease)).toBe(2)
      most = Math.max(most, ++inUse)
      await delay(5)
      inUse--
      lease.release()
    })
    await eventually(() => expect(pool.stats.waiting).toBe(12))
    expect(isTold).toBe(true)
    first.release()
    await Promise.all(all)
    expect(most).toBe(1)
    // Each was refused once or twice, not once for each of the others.
    expect(archive.associations.length).toBeLessThan(3 * 12)
  })
})

describe('an archive that does not take a class at all', () => {
  it('is asked once more without the idle associations, and then taken at its word', async () => {
    const { archive, pool } = await start(() => true)
    for (const opened of [3, 5]) {
      ;(await pool.lease(query, { signal: never.signal })).release()
      const lease = await pool.lease(store, never)
      expect(acceptedOf(lease)).toBe(0)
      lease.discard()
      expect(archive.associations.length).toBe(opened)
    }
    // What was idle stays so: it was known.
    expect(archive.associations.map(({ ended }) => ended)[3]).toBeUndefined()
  })

  it('is believed at once where nobody else is there, and not kept for others', async () => {
    const { archive, pool } = await start(() => true)
    ;(await pool.lease(store, never)).release()
    expect(archive.associations.length).toBe(1)
    await eventually(() => expect(pool.stats).toMatchObject({ open: 0, idle: 0 }))
  })

  it('is not remembered to refuse what it takes when a rival has gone', async () => {
    let refuses = true
    const { pool } = await start((storing) => refuses || storing > 0)
    ;(await pool.lease(query, { signal: never.signal })).release()
    ;(await pool.lease(again, never)).release()
    refuses = false
    ;(await pool.lease(store, never)).release()
    const lease = await pool.lease(again, never)
    expect(acceptedOf(lease)).toBe(2)
    lease.release()
  })
})
