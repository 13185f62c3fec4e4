import { Attribute } from '../../dicom/attributes.ts'
import { once, type Bytes, type ByteStream } from '../../dicom/bytes.ts'
import { composedFile, MAX_VALUE_BYTES, type Streamed } from '../../dicom/composed-file.ts'
import { Dataset } from '../../dicom/dataset.ts'
import { dateAndTime } from '../../dicom/date-time.ts'
import { tagOf } from '../../dicom/dictionary.ts'
import { replay } from '../../dicom/part10.ts'
import type { Tag } from '../../dicom/tag.ts'
import { EXPLICIT_VR_LITTLE_ENDIAN, transferSyntax, type TransferSyntax } from '../../dicom/transfer-syntax.ts'
import { STORAGE_ROOT, type Uid } from '../../dicom/uids.ts'
import { isTurnedPicture } from '../../imaging/picture/read-picture.ts'
import type { HttpContext } from '../context.ts'
import { RequestError } from '../problem.ts'
import { wholeValue } from './bulk-value.ts'
import type { Held } from './holding.ts'
import type { StorePart } from './made-part.ts'
import { madePixels } from './pixel-value.ts'
import { describeByVideo } from './video-attributes.ts'
import { videoValue } from './video-value.ts'
import { whose } from './whose.ts'

/** What is stored as one body of its own type, and what is made of it. */
const MEDIA: Readonly<Record<string, (media: Media) => Promise<Wrapped>>> = {
  'image/jpeg': picture,
  'image/png': picture,
  'image/jls': picture,
  'image/jp2': picture,
  'image/jphc': picture,
  'application/pdf': (media) => document(media, PDF),
  'model/stl': (media) => document(media, STL),
  'application/sla': (media) => document(media, STL),
  'video/mp4': video,
}

/** The types that can be stored so. */
export const WRAPPED_TYPES: readonly string[] = Object.keys(MEDIA)

interface Media {
  readonly c: HttpContext
  readonly type: string
  /** Bytes of the body, where they are told. */
  readonly length: number | undefined
  readonly body: ByteStream
  readonly held: Held
  /** Of the patient and the study. */
  readonly dataset: Dataset
}

/** An instance without its SOP class. */
interface Wrapped {
  readonly sopClass: Uid
  readonly syntax: TransferSyntax
  readonly streamed: Streamed
}

/**
 * A picture, a document, a model or a video as an instance: Secondary Capture, Encapsulated PDF or STL, Video Photographic
 * Image (PS3.3 A.8.1, A.45.1, A.104.3, A.32.7), of whom the query says.
 * @throws RequestError 400 for what cannot be one, 413, 503; as whose
 */
export async function* wrappedMedia(
  c: HttpContext,
  type: string,
  body: ByteStream,
  held: Held,
): AsyncGenerator<StorePart> {
  const dataset = await whose(c)
  const told = c.req.header('content-length')
  const length = told !== undefined && /^\d{1,15}$/.test(told) ? Number(told) : undefined
  const wrapped = await MEDIA[type]!({ c, type, length, body, held, dataset }).catch((error: unknown) => {
    throw unusable(error) ?? error
  })
  const { sopClass, syntax, streamed } = wrapped
  dataset.set(Attribute.SOPClassUID, sopClass)
  fillCommon(dataset)
  const sopInstance = dataset.string(Attribute.SOPInstanceUID)!
  yield { type: 'application/dicom', body: composedFile(dataset, syntax, { sopClass, sopInstance }, streamed) }
}

const UNUSABLE: readonly unknown[] = ['UNFIT_PIXEL_DATA', 'CORRUPT_CODESTREAM', 'UNUSABLE_IMAGE', 'UNUSABLE_VIDEO']

function unusable(error: unknown): RequestError | undefined {
  if (!(error instanceof Error && 'code' in error && UNUSABLE.includes(error.code))) return undefined
  return new RequestError(
    400,
    'UNUSABLE_MEDIA',
    `What was sent cannot be stored: ${error.message}.`,
    {},
    { cause: error },
  )
}

async function picture({ c, type, body, held, dataset }: Media): Promise<Wrapped> {
  const whole = await wholeValue({ body }, held)
  const isTurned = type === 'image/jpeg' && (await isTurnedPicture(whole))
  const value = {
    media: isTurned ? 'image/png' : type,
    syntax: undefined,
    frame: undefined,
    isPlain: true,
    length: whole.length,
    body: once(whole),
    whole,
  }
  const next = (): Promise<undefined> => Promise.resolve(undefined)
  const made = await madePixels(value, { c, held, dataset, tag: Attribute.PixelData, vr: 'OB', next })
  // PS3.3 C.8.6.1: made on a workstation, as far as anybody knows.
  setMissing(dataset, { ConversionType: 'WSD', Modality: 'OT', PatientOrientation: '' })
  return { sopClass: `${STORAGE_ROOT}7`, ...made }
}

interface DocumentKind {
  readonly sopClass: Uid
  readonly media: string
  readonly modality: string
  /** Whether the first bytes, of a whole of so many, are its own. */
  readonly isOne: (head: Buffer, length: number) => boolean
  readonly attributes?: (dataset: Dataset) => void
}

const PDF: DocumentKind = {
  sopClass: `${STORAGE_ROOT}104.1`,
  media: 'application/pdf',
  modality: 'DOC',
  isOne: (head) => head.includes('%PDF-'),
}

const STL_HEADER_BYTES = 84
const STL_TRIANGLE_BYTES = 50

const STL: DocumentKind = {
  sopClass: `${STORAGE_ROOT}104.3`,
  media: 'model/stl',
  modality: 'M3D',
  isOne: (head, length) =>
    head.length >= STL_HEADER_BYTES &&
    length === STL_HEADER_BYTES + STL_TRIANGLE_BYTES * head.readUInt32LE(STL_HEADER_BYTES - 4),
  attributes: (dataset) => {
    setMissing(dataset, {
      FrameOfReferenceUID: dataset.string(Attribute.SOPInstanceUID)!,
      PositionReferenceIndicator: '',
    })
    setMissing(dataset, { ModelModification: 'NO', ModelMirroring: 'NO', Manufacturer: '' })
    // Files of this type have no unit; by the custom of their makers it is the millimetre.
    const millimetres = new Dataset(dataset.characterSet)
      .set(Attribute.CodeValue, 'mm')
      .set(tagOf('CodingSchemeDesignator')!, 'UCUM')
      .set(Attribute.CodeMeaning, 'mm')
    dataset.setItems(Attribute.MeasurementUnitsCodeSequence, [millimetres])
  },
}

/** Bytes in which a document shows that it is one. */
const HEAD_BYTES = 1024

async function document(media: Media, kind: DocumentKind): Promise<Wrapped> {
  const { dataset } = media
  const { length, body, head } = await sized(media)
  if (length > MAX_VALUE_BYTES) throw tooLong()
  if (!kind.isOne(head, length)) {
    throw new RequestError(400, 'UNUSABLE_MEDIA', `What was sent cannot be stored: it is no ${kind.media}.`)
  }
  setMissing(dataset, { Modality: kind.modality, ConversionType: 'WSD', BurnedInAnnotation: 'YES', DocumentTitle: '' })
  setMissing(dataset, { AcquisitionDateTime: '' })
  dataset.set(Attribute.MIMETypeOfEncapsulatedDocument, kind.media)
  dataset.set(Attribute.EncapsulatedDocumentLength, length, 'UL')
  dataset.setItems(Attribute.ConceptNameCodeSequence, [])
  kind.attributes?.(dataset)
  const streamed = { tag: Attribute.EncapsulatedDocument, vr: 'OB', length, body } as const
  return { sopClass: kind.sopClass, syntax: EXPLICIT_VR_LITTLE_ENDIAN, streamed }
}

function tooLong(): RequestError {
  return new RequestError(
    413,
    'UNUSABLE_MEDIA',
    'What was sent cannot be stored: it is longer than a value of DICOM can be.',
  )
}

/** A body with its length, which is read whole where it is not told. */
async function sized({ length, body, held }: Media): Promise<{ length: number; body: ByteStream; head: Buffer }> {
  if (length === undefined) {
    const whole = await wholeValue({ body }, held)
    return { length: whole.length, body: once(whole), head: Buffer.from(whole.subarray(0, HEAD_BYTES)) }
  }
  const rest: AsyncIterator<Bytes, unknown> = body[Symbol.asyncIterator]()
  const chunks: Bytes[] = []
  let got = 0
  while (got < HEAD_BYTES) {
    const { value, done } = await rest.next()
    if (done) break
    chunks.push(value)
    got += value.length
  }
  return { length, body: replay(chunks, rest), head: Buffer.concat(chunks).subarray(0, HEAD_BYTES) }
}

async function video({ dataset, held, ...sent }: Media): Promise<Wrapped> {
  const { header, length, body } = await videoValue(sent, held)
  describeByVideo(dataset, header)
  setMissing(dataset, { Modality: 'XC', Manufacturer: '', PatientOrientation: '', ImageType: 'ORIGINAL\\PRIMARY' })
  dataset.set(Attribute.LossyImageCompression, '01')
  const isAvc = header.syntax.endsWith('.102') || header.syntax.endsWith('.104')
  dataset.set(Attribute.LossyImageCompressionMethod, isAvc ? 'ISO_14496_10' : 'ISO_23008_2')
  const { rows, columns, bitsStored, frames } = header
  const whole = (rows * columns * 3 * bitsStored * frames) / 8
  dataset.set(Attribute.LossyImageCompressionRatio, (whole / Math.max(1, length)).toPrecision(8))
  dataset.setItems(tagOf('AcquisitionContextSequence')!, [])
  const streamed = { tag: Attribute.PixelData, fragment: { length, body } }
  return { sopClass: `${STORAGE_ROOT}77.1.4.1`, syntax: transferSyntax(header.syntax), streamed }
}

/** What all instances have, and nobody has told. */
function fillCommon(dataset: Dataset): void {
  const { date, time } = dateAndTime(new Date())
  setMissing(dataset, { StudyDate: date, StudyTime: time, ContentDate: date, ContentTime: time })
  setMissing(dataset, { SeriesNumber: '1', InstanceNumber: '1' })
  for (const tag of OF_TYPE_2) if (!dataset.has(tag)) dataset.setEmpty(tag)
}

/** Attributes that are there, if without a value (PS3.5 7.4.3). */
const OF_TYPE_2: readonly Tag[] = [
  Attribute.AccessionNumber,
  Attribute.ReferringPhysicianName,
  Attribute.PatientName,
  Attribute.PatientBirthDate,
  Attribute.PatientSex,
  Attribute.StudyID,
]

function setMissing(dataset: Dataset, values: Readonly<Record<string, string>>): void {
  for (const [keyword, value] of Object.entries(values)) {
    const tag = tagOf(keyword)!
    if (dataset.has(tag)) continue
    if (value === '') dataset.setEmpty(tag)
    else dataset.set(tag, value.split('\\'))
  }
}
