import type { Selection } from '../../../src/instance/uids.ts'
import { hash } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { Attribute } from '../../../src/dicom/attributes.ts'
import type { Dataset } from '../../../src/dicom/dataset.ts'
import { encodeDataset, parseDataset } from '../../../src/dicom/dataset-codec.ts'
import { differences } from '../../support/dataset-differences.ts'
import { EXPLICIT_VR_LITTLE_ENDIAN } from '../../../src/dicom/transfer-syntax.ts'
import type { Archive } from '../../../src/pacs/archive.ts'
import { collect } from '../../support/byte-stream.ts'
import { eventually } from '../../support/eventually.ts'
import { openArchive } from '../../support/gateway-to.ts'
import {
  commandSet,
  CT,
  findResponse,
  getResponse,
  IMPLICIT_LE,
  message,
  readRequest,
  type AcceptBytes,
} from '../../support/golden.ts'
import { keeper } from '../../support/kept.ts'
import { failOnLeaks } from '../../support/leaks.ts'
import { listing, ScriptedArchive, storeAll, type ArchiveScript } from '../../support/scripted-archive.ts'
import { sliceDataset, sliceUid, SERIES, STUDY, type SliceShape } from '../../support/slices.ts'

// Quirks of real archives (dimse.md 15) that no other file covers.

failOnLeaks()

const call = { signal: new AbortController().signal }
const plain = { relational: false, fuzzy: false, emptyValue: false, multipleValue: false }
const kept = keeper()

async function start(
  script: ArchiveScript,
  settings: object = {},
): Promise<{ scripted: ScriptedArchive; archive: Archive }> {
  const scripted = await ScriptedArchive.start(script)
  const archive = await openArchive(scripted.address, settings)
  kept(scripted)
  kept(archive)
  return { scripted, archive }
}

async function studies(archive: Archive): Promise<Dataset[]> {
  const found: Dataset[] = []
  const request = { level: 'STUDY', withParents: false, match: [], include: [] } as const
  for await (const one of archive.search(request, plain, call)) found.push(one)
  return found
}

async function retrieved(archive: Archive, selection: Selection): Promise<[string, string, string][]> {
  const found: [string, string, string][] = []
  for await (const { sopInstance, received, body } of archive.retrieve(selection, true, call)) {
    found.push([sopInstance, received.uid, hash('sha256', await collect(body))])
  }
  return found
}

/** Stores what is listed and ends in success. */
function giving(shapes: readonly SliceShape[]): ArchiveScript {
  return {
    find: listing(shapes),
    get: async (association, { contextId, messageId, identifier }) => {
      const series = identifier.strings(0x0020000e)
      const wanted = shapes.filter((shape) => series.length === 0 || series.includes(shape.series ?? SERIES))
      await storeAll(
        association,
        wanted.map((shape) => ({ shape })),
      )
      await association.peer.send(getResponse({ contextId, messageId, completed: wanted.length, failed: 0 }))
    },
  }
}

/** An element of Explicit VR Little Endian with a short length, as it is written. */
function explicit(group: number, number: number, vr: string, value: string): Buffer {
  const head = Buffer.alloc(8)
  head.writeUInt16LE(group, 0)
  head.writeUInt16LE(number, 2)
  head.write(vr, 4, 'latin1')
  head.writeUInt16LE(value.length, 6)
  return Buffer.concat([head, Buffer.from(value, 'latin1')])
}

async function foundFrom(...elements: readonly Buffer[]): Promise<Dataset[]> {
  const { archive } = await start({
    find: async ({ peer }, { contextId, messageId }) => {
      await peer.send(findResponse({ contextId, messageId, data: Buffer.concat(elements) }))
      await peer.send(findResponse({ contextId, messageId }))
    },
  })
  return studies(archive)
}

describe('a match', () => {
  test.each(['STUDY', 'study ', 'PATIENT', 'IMAGE', ''])(
    'that calls its level %j is taken by its unique key',
    async (level) => {
      const found = await foundFrom(
        explicit(0x0008, 0x0052, 'CS', level),
        explicit(0x0008, 0x0054, 'AE', 'ANYWHERE'),
        explicit(0x0020, 0x000d, 'UI', '1.2.3\0'),
      )
      expect(found.map((one) => one.string(Attribute.StudyInstanceUID))).toEqual(['1.2.3'])
    },
  )

  test.each([
    ['NUL', '1.2.3\0', 'CT\0\0', 'Doe^J\0'],
    ['spaces', '1.2.3 ', 'CT  ', 'Doe^J '],
    ['both', '1.2.3 \0', 'CT \0', 'Doe^J\0 '],
    ['nothing, in odd lengths', '1.2.3', 'C', 'Doe^J'],
  ])('padded by %s says the same', async (_, uid, modality, name) => {
    const [found] = await foundFrom(
      explicit(0x0008, 0x0061, 'CS', modality),
      explicit(0x0010, 0x0010, 'PN', name),
      explicit(0x0020, 0x000d, 'UI', uid),
    )
    expect(found!.string(Attribute.StudyInstanceUID)).toBe('1.2.3')
    expect(found!.string(Attribute.ModalitiesInStudy)).toBe(modality.slice(0, modality.length === 1 ? 1 : 2))
    expect(found!.string(Attribute.PatientName)).toBe('Doe^J')
  })

  test('out of order, with group lengths that are wrong and private elements, is read', async () => {
    const [found] = await foundFrom(
      explicit(0x0020, 0x0000, 'UL', '\x63\0\0\0'),
      explicit(0x0020, 0x000d, 'UI', '1.2.3\0'),
      explicit(0x0010, 0x0000, 'UL', '\x01\0\0\0'),
      explicit(0x0010, 0x0020, 'LO', 'P-1 '),
      explicit(0x0010, 0x0010, 'PN', 'Doe^Jane'),
      explicit(0x0009, 0x0010, 'LO', 'VENDOR'),
      explicit(0x0009, 0x1001, 'LO', '\xff\xfe\xe0\0'),
      explicit(0x0008, 0x0061, 'CS', 'CT'),
    )
    expect(found!.string(Attribute.PatientID)).toBe('P-1')
    expect(found!.string(Attribute.PatientName)).toBe('Doe^Jane')
    expect(found!.string(Attribute.ModalitiesInStudy)).toBe('CT')
  })
})

describe('an archive', () => {
  test('that grants no role, and stores all the same, is believed', async () => {
    const { archive } = await start({ ...giving([{ number: 1 }, { number: 2 }]), associate: () => ({ user: [] }) })
    expect((await retrieved(archive, { study: STUDY })).map(([uid]) => uid)).toEqual([sliceUid(1), sliceUid(2)])
  })

  test('that takes Implicit VR alone is searched and gives its instances in that', async () => {
    const implicitOnly = (request: Buffer): AcceptBytes => ({
      answers: Object.fromEntries(
        readRequest(request).contexts.map(({ id, transferSyntaxes }) => [
          id,
          transferSyntaxes.includes(IMPLICIT_LE) ? IMPLICIT_LE : 4,
        ]),
      ),
    })
    const { archive } = await start({ ...giving([{ number: 1 }]), associate: implicitOnly })
    expect((await studies(archive)).map((one) => one.string(Attribute.StudyInstanceUID))).toEqual([STUDY])
    for await (const { sopInstance, received, syntax, body } of archive.retrieve({ study: STUDY }, true, call)) {
      expect([sopInstance, received.uid]).toEqual([sliceUid(1), IMPLICIT_LE])
      // As it arrives it is rewritten.
      const given = parseDataset(await collect(body), syntax)
      expect(differences(sliceDataset({ number: 1 }), given, { anyVr: true })).toEqual([])
    }
    expect(await retrieved(archive, { study: STUDY })).toHaveLength(1)
  })

  test('that leaves out the priority of a C-STORE is understood', async () => {
    const { archive } = await start({
      find: listing([{ number: 1 }]),
      get: async (association, { contextId, messageId }) => {
        const { id } = association.context(CT)
        const command = commandSet({ '0002': CT, '0100': 1, '0110': 1, '0800': 1, '1000': sliceUid(1) })
        const data = association.encode(id, sliceDataset({ number: 1 }))
        await association.peer.send(message(command, data, { contextId: id }))
        await association.next()
        await association.peer.send(getResponse({ contextId, messageId, completed: 1 }))
      },
    })
    expect((await retrieved(archive, { study: STUDY })).map(([uid]) => uid)).toEqual([sliceUid(1)])
  })

  test('that has a UID in two series gives the one of the series asked for', async () => {
    const instance = '1.2.77.1'
    const twins = [SERIES, `${STUDY}.2`].map((series, n) => ({ series, instance, number: n + 1, size: 100 + n }))
    const { archive } = await start(giving(twins))
    for (const twin of twins) {
      const bytes = encodeDataset(sliceDataset(twin), EXPLICIT_VR_LITTLE_ENDIAN)
      expect(await retrieved(archive, { study: STUDY, series: twin.series })).toEqual([
        [instance, EXPLICIT_VR_LITTLE_ENDIAN.uid, hash('sha256', bytes)],
      ])
    }
  })

  test.each(['abort', 'close', 'reset'] as const)(
    'that answers a release by %s has served all the same',
    async (how) => {
      const { archive, scripted } = await start(
        {
          ...giving([{ number: 1 }]),
          release: async ({ peer }) => {
            if (how === 'abort') await peer.abort()
            else peer[how]()
            return false
          },
        },
        { timeouts: { idle: '20ms' } },
      )
      expect(await retrieved(archive, { study: STUDY })).toHaveLength(1)
      // Idle associations are released.
      await eventually(() => expect(archive.stats).toMatchObject({ open: 0, leased: 0 }))
      expect(scripted.associations.length).toBeGreaterThan(0)
      expect(await studies(archive)).toHaveLength(1)
    },
  )

  test.each(['abort', 'close', 'reset'] as const)(
    'that ends by %s behind its final response has served',
    async (how) => {
      const { archive } = await start({
        find: listing([{ number: 1 }]),
        get: async (association, { contextId, messageId }) => {
          await storeAll(association, [{ shape: { number: 1 } }])
          await association.peer.send(getResponse({ contextId, messageId, completed: 1, failed: 0 }))
          if (how === 'abort') await association.peer.abort()
          else if (how === 'close') association.peer.close()
          // A reset may overtake what was sent: it gets some time.
          else setTimeout(() => association.peer.reset(), 50)
        },
      })
      expect(await retrieved(archive, { study: STUDY })).toHaveLength(1)
      await eventually(() => expect(archive.stats).toMatchObject({ leased: 0 }))
      expect(await retrieved(archive, { study: STUDY })).toHaveLength(1)
    },
  )
})
