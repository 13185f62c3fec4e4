import { newUid } from '../dicom/new-uid.ts'
import { Attribute } from '../dicom/attributes.ts'
import { Dataset } from '../dicom/dataset.ts'
import { encodeDataset } from '../dicom/dataset-codec.ts'
import { encapsulatedSyntaxes, isNative, SyntaxUid, transferSyntax } from '../dicom/transfer-syntax.ts'
import { STORAGE_ROOT, type Uid } from '../dicom/uids.ts'
import { Scu } from '../dimse/scu.ts'
import { statusClass } from '../dimse/status.ts'
import { MAX_CONTEXTS, type AcceptedContext } from '../network/negotiation.ts'
import type { Association } from '../network/association.ts'
import { contextOf, storeProposal } from '../pacs/contexts.ts'
import { paused } from '../pacs/pool/after-pauses.ts'
import type { Proposal } from '../pacs/pool/proposal.ts'
import { isBarren } from '../pacs/pool/rivals.ts'
import * as findings from './findings-transfer.ts'
import type { Probe } from './probe.ts'

/** A few classes that most archives are asked to keep, by their suffix of STORAGE_ROOT. */
const classes = {
  CT: '2',
  'Enhanced CT': '2.1',
  MR: '4',
  'Enhanced MR': '4.1',
  CR: '1',
  DX: '1.1',
  Mammography: '1.2',
  Ultrasound: '6.1',
  'Secondary Capture': '7',
  PET: '128',
  'Basic Text SR': '88.11',
  'Key Object Selection': '88.59',
  'Encapsulated PDF': '104.1',
} as const

/** The compressed syntaxes most often stored come first there. */
const syntaxes = encapsulatedSyntaxes.slice(0, 5)
const SECONDARY_CAPTURE: Uid = STORAGE_ROOT + classes['Secondary Capture']
/** Pauses before an archive that accepts nothing is asked again, in ms. */
const STILL_COUNTED_MS = [0, 250, 1_000, 1_500]
/** What makes no use of pixel compression. */
const WITHOUT_PIXELS: readonly string[] = ['Basic Text SR', 'Key Object Selection', 'Encapsulated PDF']

/** Which classes the archive would take, and in which compressed syntaxes. Nothing is stored. */
export async function storable(probe: Probe): Promise<void> {
  const entries = Object.entries(classes).map(([name, suffix]) => ({ name, sopClass: STORAGE_ROOT + suffix }))
  await probe.step(
    'C-STORE contexts',
    async (signal) => {
      const taken = new Map<string, readonly Uid[]>()
      for (let at = 0; at < entries.length;) {
        let some: typeof entries = []
        const propose = (maxContexts: number): Proposal => {
          some = entries.slice(at, at + Math.max(1, Math.floor(maxContexts / (syntaxes.length + 1))))
          const pairs = some.flatMap(({ sopClass }) => syntaxes.map(({ uid }) => ({ sopClass, syntax: uid })))
          return storeProposal(pairs, maxContexts)
        }
        const open = (proposal: Proposal): Promise<Association> => probe.open(proposal, signal)
        // An archive that stores in one association at a time may yet count the one of the step before.
        for (const pause of at === 0 ? STILL_COUNTED_MS : [0]) {
          if (pause > 0) await paused(pause, signal)
          const association = await probe.contexts.open(propose, open, { signal })
          const isRefused = await probe.using([association], signal, () => {
            const accepted = [...association.contexts.values()]
            for (const { name, sopClass } of some) taken.set(name, syntaxesOf(accepted, sopClass))
            return Promise.resolve(isBarren(association))
          })
          if (!isRefused) break
        }
        at += some.length
      }
      probe.add(...findings.storable(probe.parties, summary(taken)))
    },
    findings.storeFailed,
  )
}

function syntaxesOf(accepted: readonly AcceptedContext[], sopClass: Uid): Uid[] {
  return accepted.filter((c) => c.abstractSyntax === sopClass).map((c) => c.transferSyntax)
}

function summary(taken: ReadonlyMap<string, readonly Uid[]>): findings.Storable {
  const isTaken = (name: string): boolean => (taken.get(name) ?? []).some((uid) => isNative(transferSyntax(uid)))
  const names = [...taken.keys()]
  const accepted = names.filter(isTaken)
  const images = accepted.filter((name) => !WITHOUT_PIXELS.includes(name))
  const share = (uid: Uid): number => images.filter((name) => taken.get(name)!.includes(uid)).length
  const named = (fits: (count: number) => boolean): string[] =>
    syntaxes.filter(({ uid }) => fits(share(uid))).map(({ name }) => name)
  return {
    accepted,
    refused: names.filter((name) => !isTaken(name)),
    all: named((count) => count === images.length && count > 0),
    some: named((count) => count > 0 && count < images.length),
    none: named((count) => count === 0),
  }
}

/** Stores one small image that is made here, of nobody. */
export async function storeOne(probe: Probe): Promise<void> {
  const image = synthetic()
  const proposal = storeProposal([], MAX_CONTEXTS)
  const { contexts } = storeProposal(
    [{ sopClass: SECONDARY_CAPTURE, syntax: SyntaxUid.explicitVrLittleEndian }],
    MAX_CONTEXTS,
  )
  await probe.step(
    'C-STORE of a synthetic image',
    (signal) =>
      probe.associated({ ...proposal, contexts }, signal, async (association) => {
        const context = contextOf(association, SECONDARY_CAPTURE, probe.config.name, 'C-STORE')
        const bytes = encodeDataset(image.dataset, transferSyntax(context.transferSyntax))
        async function* body(): AsyncGenerator<Uint8Array> {
          yield bytes
        }
        const instance = { sopClass: SECONDARY_CAPTURE, sopInstance: image.sopInstance, body: body() }
        const operation = { timeout: probe.within(probe.config.timeouts.response), signal }
        const { status } = await new Scu(association).store(context, instance, operation)
        const kind = statusClass(status)
        const isStored = kind === 'success' || kind === 'warning'
        probe.add(isStored ? findings.stored(image.study, status) : findings.notStored(probe.parties, status))
      }),
    (error) => findings.notStored(probe.parties, { error }),
  )
}

const SIDE = 16

function synthetic(): { study: Uid; sopInstance: Uid; dataset: Dataset } {
  const [study, sopInstance] = [newUid(), newUid()]
  const now = new Date().toISOString()
  const date = now.slice(0, 10).replaceAll('-', '')
  const time = now.slice(11, 19).replaceAll(':', '')
  const dataset = new Dataset()
    .set(Attribute.SpecificCharacterSet, 'ISO_IR 192')
    .set(Attribute.SOPClassUID, SECONDARY_CAPTURE)
    .set(Attribute.SOPInstanceUID, sopInstance)
    .set(Attribute.StudyDate, date)
    .set(Attribute.StudyTime, time)
    .set(Attribute.AccessionNumber)
    .set(Attribute.Modality, 'OT')
    // Conversion Type: Synthetic Image.
    .set(0x00080064, 'SYN')
    .set(Attribute.ReferringPhysicianName)
    .set(Attribute.StudyDescription, 'Dimsegate connection test')
    .set(Attribute.PatientName, 'DIMSEGATE^TEST')
    .set(Attribute.PatientID, 'DIMSEGATE-TEST')
    .set(Attribute.PatientBirthDate)
    .set(Attribute.PatientSex)
    .set(Attribute.StudyInstanceUID, study)
    .set(Attribute.SeriesInstanceUID, newUid())
    .set(Attribute.StudyID)
    .set(Attribute.SeriesNumber, '1')
    .set(Attribute.InstanceNumber, '1')
    .set(Attribute.SamplesPerPixel, 1)
    .set(Attribute.PhotometricInterpretation, 'MONOCHROME2')
    .set(Attribute.Rows, SIDE)
    .set(Attribute.Columns, SIDE)
    .set(Attribute.BitsAllocated, 8)
    .set(0x00280101, 8)
    .set(0x00280102, 7)
    .set(Attribute.PixelRepresentation, 0)
    .put(Attribute.PixelData, { vr: 'OB', value: Uint8Array.from({ length: SIDE * SIDE }, (_, n) => n) })
  return { study, sopInstance, dataset }
}
