import { describe, expect, it } from 'vitest'
import { DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN, encapsulatedSyntaxes } from '../../../src/dicom/transfer-syntax.ts'
import { frequentStorageClasses } from '../../../src/dicom/uids.ts'
import { SINGLES_TRIED } from '../../../src/pacs/retrieve/ladder.ts'
import { openArchive } from '../../support/gateway-to.ts'
import { CT, getResponse } from '../../support/golden.ts'
import { keeper } from '../../support/kept.ts'
import { failOnLeaks } from '../../support/leaks.ts'
import { listing, ScriptedArchive, type ArchiveAssociation } from '../../support/scripted-archive.ts'
import { sliceUid, STUDY, type SliceShape } from '../../support/slices.ts'

// The C-GETs that an archive sees which gives nothing: every rung, in its order.

failOnLeaks()

const kept = keeper()
const call = { signal: new AbortController().signal }
const [FIRST, SECOND] = [sliceUid(1), sliceUid(2)]
const RARE = '1.2.826.0.1.3680043.9.77'

/** What objects may be stored in besides native syntaxes. */
const stored = [...encapsulatedSyntaxes, DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN].map(({ uid }) => uid)

interface Asked {
  readonly instances: readonly string[]
  readonly classes: readonly string[]
  /** Other than native ones. */
  readonly syntaxes: readonly string[]
}

async function askedOf(
  shapes: readonly SliceShape[],
  { compressed, status, settings = {} }: { compressed: boolean; status: number; settings?: object },
): Promise<Asked[]> {
  const asked: Asked[] = []
  const offered = ({ contexts }: ArchiveAssociation): Omit<Asked, 'instances'> => {
    const storage = contexts.slice(1)
    const syntaxes = new Set(storage.flatMap(({ transferSyntaxes }) => transferSyntaxes))
    return {
      classes: [...new Set(storage.map(({ abstractSyntax }) => abstractSyntax))],
      syntaxes: stored.filter((uid) => syntaxes.has(uid)),
    }
  }
  const scripted = kept(
    await ScriptedArchive.start({
      find: listing(shapes),
      get: async (association, { contextId, messageId, identifier }) => {
        asked.push({ instances: identifier.strings(0x00080018), ...offered(association) })
        await association.peer.send(getResponse({ contextId, messageId, status }))
      },
    }),
  )
  const archive = kept(await openArchive(scripted.address, settings))
  await expect(archive.retrieve({ study: STUDY }, compressed, call).next()).rejects.toThrow()
  return asked
}

describe('what is missing', () => {
  const known = [{ number: 1 }, { number: 2 }]
  const all = stored

  it('is asked for uncompressed, each alone, as stored, in each syntax alone, and each alone as stored', async () => {
    const [whole, ...rest] = await askedOf(known, { compressed: false, status: 0xc000 })
    expect(whole!.instances).toEqual([])
    const both = [FIRST, SECOND]
    expect(rest).toEqual([
      { instances: both, classes: [CT], syntaxes: [] },
      { instances: [FIRST], classes: [CT], syntaxes: [] },
      { instances: [SECOND], classes: [CT], syntaxes: [] },
      { instances: both, classes: [CT], syntaxes: all },
      ...all.map((only) => ({ instances: both, classes: [CT], syntaxes: [only] })),
      { instances: [FIRST], classes: [CT], syntaxes: all },
      { instances: [SECOND], classes: [CT], syntaxes: all },
    ])
  })

  it('is not asked for uncompressed by who takes it as stored', async () => {
    const [, first] = await askedOf(known, { compressed: true, status: 0xc000 })
    expect(first).toEqual({ instances: [FIRST, SECOND], classes: [CT], syntaxes: all })
  })

  it.each([
    ['that did not fail as a whole', known, 0xb000],
    ['of one instance', known.slice(0, 1), 0xc000],
  ])('is not asked for again alone behind a C-GET %s', async (_, shapes, status) => {
    const asked = await askedOf(shapes, { compressed: false, status })
    const uncompressed = asked.slice(1).filter(({ syntaxes }) => syntaxes.length === 0)
    expect(uncompressed.map(({ instances }) => instances)).toEqual([shapes.map(({ number }) => sliceUid(number))])
  })

  it('is asked for class by class in what there was no room for', async () => {
    const shapes = [{ number: 1 }, { number: 2, sopClass: RARE }]
    const settings = { quirks: { maxContexts: 6 } }
    // The last two are those that ask for each alone.
    const asked = (await askedOf(shapes, { compressed: true, status: 0xb000, settings })).slice(0, -2)
    const [, together] = asked
    expect(together!.classes).toEqual([CT, RARE])
    const tried = (sopClass: string): Set<string> =>
      new Set(asked.filter(({ classes }) => classes.join() === sopClass).flatMap(({ syntaxes }) => syntaxes))
    const left = all.filter((uid) => !together!.syntaxes.includes(uid))
    expect(tried(CT)).toEqual(new Set(left))
    expect(tried(RARE)).toEqual(new Set(left))
  })

  it('is asked for at last in the frequent classes where the archive does not tell its class', async () => {
    const asked = await askedOf([{ number: 1, sopClass: 'x' }], { compressed: true, status: 0xb000 })
    const last = asked.at(-1)!
    expect(last.instances).toEqual([FIRST])
    expect(last.classes).toEqual(frequentStorageClasses.slice(0, last.classes.length))
    expect(last.classes.length).toBeGreaterThan(50)
  })

  it('is asked for alone no more than SINGLES_TRIED times where that brings nothing', async () => {
    const shapes = Array.from({ length: SINGLES_TRIED + 4 }, (_, n) => ({ number: n + 1 }))
    const asked = await askedOf(shapes, { compressed: true, status: 0xb000 })
    expect(asked.filter(({ instances }) => instances.length === 1)).toHaveLength(SINGLES_TRIED)
  })
})
