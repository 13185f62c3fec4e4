import { Attribute } from '../../dicom/attributes.ts'
import { Dataset } from '../../dicom/dataset.ts'
import { dateAndTime } from '../../dicom/date-time.ts'
import { tagOf } from '../../dicom/dictionary.ts'
import type { Archive } from '../../pacs/archive.ts'
import { patientIdOf, toldId } from '../../pacs/federation/patient-id.ts'
import type { PriorFinder, Surroundings } from '../../pacs/priors/find-priors.ts'
import { summaryOf } from '../../pacs/priors/study-summary.ts'
import { STEP } from '../../pacs/worklist/worklist-keys.ts'
import type { Prefetcher } from './prefetcher.ts'

/** Steps of one worklist that are due, and that are looked at. */
const MAX_STEPS = 1_000
const MAX_LOOKED_AT = 20_000

export interface WatchOptions {
  readonly archives: readonly Archive[]
  readonly finder: PriorFinder
  readonly prefetcher: Prefetcher
  /** Where priors of a patient of an archive's worklist are looked for. */
  readonly around: (archive: Archive) => Surroundings
  /** Milliseconds from one look to the next. */
  readonly every: number
  /** Milliseconds before a step is due. */
  readonly ahead: number
}

/** Has the priors of scheduled patients fetched. What is returned ends it. */
export function watchWorklists(options: WatchOptions): () => void {
  const stop = new AbortController()
  const look = async (): Promise<void> => {
    await Promise.all(options.archives.map((archive) => lookAt(archive, options, stop.signal)))
  }
  let isLooking = false
  const next = (): void => {
    if (isLooking) return
    isLooking = true
    void look().finally(() => {
      isLooking = false
    })
  }
  const timer = setInterval(next, options.every)
  timer.unref()
  next()
  return () => {
    clearInterval(timer)
    stop.abort()
  }
}

/** A worklist that does not answer is looked at again later. */
async function lookAt(archive: Archive, options: WatchOptions, signal: AbortSignal): Promise<void> {
  try {
    for (const step of await dueSteps(archive, options.ahead, signal)) {
      const told = toldId(step)
      if (!told || told.id === '') continue
      const around = options.around(archive)
      const patient = around.isFederation ? patientIdOf(told, archive.config) : told
      for (const item of step.items(STEP)) {
        const summary = summaryOf(asStudy(step, item), [item])
        options.prefetcher.expected(keyOf(archive, step, item), (call) =>
          options.finder.findFor(patient, { summary, archive }, around, call),
        )
      }
    }
  } catch {
    // It is told by what the association tells.
  }
}

const START_DATE = tagOf('ScheduledProcedureStepStartDate')!
const START_TIME = tagOf('ScheduledProcedureStepStartTime')!
const STEP_DESCRIPTION = tagOf('ScheduledProcedureStepDescription')!
const REQUESTED = tagOf('RequestedProcedureDescription')!
const REQUESTED_CODES = tagOf('RequestedProcedureCodeSequence')!

/** Steps that are due from now on until then. */
async function dueSteps(archive: Archive, ahead: number, signal: AbortSignal): Promise<Dataset[]> {
  const now = new Date()
  const [from, to] = [now, new Date(now.getTime() + ahead)].map(dateAndTime)
  const dates = from!.date === to!.date ? from!.date : `${from!.date}-${to!.date}`
  const item = [{ tag: START_DATE, vr: 'DA', values: [dates] } as const]
  const match = [{ tag: STEP, vr: 'SQ', values: [], item } as const]
  const due: Dataset[] = []
  let looked = 0
  const call = { signal, priority: 'background' } as const
  for await (const step of archive.worklist.find({ match, include: [], fuzzy: false }, call, () => undefined)) {
    if (step.items(STEP).some((one) => isDue(one, from!, to!))) due.push(step)
    if (++looked >= MAX_LOOKED_AT || due.length >= MAX_STEPS) break
  }
  return due
}

type Moment = ReturnType<typeof dateAndTime>

/** One without a time may be due all day. */
function isDue(step: Dataset, from: Moment, to: Moment): boolean {
  const date = (step.string(START_DATE) ?? '').replaceAll('.', '')
  const time = (step.string(START_TIME) ?? '').replaceAll(':', '').slice(0, 4)
  if (time === '') return date >= from.date && date <= to.date
  const at = date + time.padEnd(4, '0')
  return at >= from.date + from.time.slice(0, 4) && at <= to.date + to.time.slice(0, 4)
}

/** What a study of it will tell of itself. */
function asStudy(step: Dataset, item: Dataset): Dataset {
  const text = [step.string(REQUESTED), item.string(STEP_DESCRIPTION)].filter((one) => one !== undefined).join(' ')
  return new Dataset()
    .set(Attribute.SpecificCharacterSet, 'ISO_IR 192')
    .set(Attribute.StudyDate, item.string(START_DATE) ?? [])
    .set(Attribute.ModalitiesInStudy, item.string(Attribute.Modality) ?? [])
    .setItems(Attribute.ProcedureCodeSequence, step.items(REQUESTED_CODES))
    .put(Attribute.StudyDescription, { vr: 'LO', value: Buffer.from(text) })
}

/** A patient and what is done to him, so that it is looked for once. */
function keyOf(archive: Archive, step: Dataset, item: Dataset): string {
  const who = [Attribute.PatientID, Attribute.IssuerOfPatientID, REQUESTED].map((tag) => step.string(tag))
  const parts = [...who, item.string(Attribute.Modality), item.string(STEP_DESCRIPTION)]
  return ['worklist', archive.config.name, ...parts.map((part) => part ?? '')].join('\\')
}
