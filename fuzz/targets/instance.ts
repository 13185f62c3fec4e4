import type { Bytes } from '../../src/dicom/bytes.ts'
import { MalformedDataSetError } from '../../src/dicom/element-reader.ts'
import { walkElements } from '../../src/dicom/element-walk.ts'
import { InflateError } from '../../src/dicom/inflater.ts'
import {
  DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN,
  EXPLICIT_VR_BIG_ENDIAN,
  EXPLICIT_VR_LITTLE_ENDIAN,
  IMPLICIT_VR_LITTLE_ENDIAN,
  SyntaxUid,
  transferSyntax,
  type TransferSyntax,
} from '../../src/dicom/transfer-syntax.ts'
import { encodeJson } from '../../src/dicomweb/encode/json.ts'
import { MetadataTooLargeError, readMetadata } from '../../src/dicomweb/metadata.ts'
import { Arrival, FROM_ARCHIVE, FROM_CLIENT, HeadTooLargeError } from '../../src/instance/arrival.ts'
import { bulkBytes, bulkValues } from '../../src/instance/bulk-values.ts'
import { DamagedInstanceError } from '../../src/instance/damage.ts'
import { CorruptFragmentsError } from '../../src/instance/frame-table.ts'
import { FrameCutShortError, frameOf, layoutOf, NoSuchFrameError, type SizedBytes } from '../../src/instance/frames.ts'
import type { InstanceIndex } from '../../src/instance/instance-index.ts'
import type { ReadableDataSet } from '../../src/instance/readable-instance.ts'
import { collect } from '../../test/support/byte-stream.ts'
import { deflate } from '../../test/support/deflated.ts'
import { instanceDataset } from '../../test/support/dicom-files.ts'
import { splitPart10 } from '../../test/support/part10.ts'
import { Dataset } from '../../src/dicom/dataset.ts'
import { encodeDataset } from '../../src/dicom/dataset-codec.ts'
import { Attribute } from '../../src/dicom/attributes.ts'
import { brief, dump, failure, outcome, outcomeOf } from '../outcome.ts'
import { inPieces, streamed } from '../pieces.ts'
import { dataSetTokens, files } from '../seeds.ts'
import { BrokenPropertyError, same, type Target } from '../target.ts'

const errors = [
  ...[MalformedDataSetError, InflateError, HeadTooLargeError, DamagedInstanceError, CorruptFragmentsError],
  ...[NoSuchFrameError, FrameCutShortError, MetadataTooLargeError],
]
/** The first byte of an input says which, and its highest bit who sends it. */
const syntaxes: readonly TransferSyntax[] = [
  ...[EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_VR_BIG_ENDIAN, DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN],
  ...[SyntaxUid.rleLossless, SyntaxUid.jpegBaseline, SyntaxUid.jpeg2000, '1.2.3.4.5'].map(transferSyntax),
]
/** What a deflated one may grow to. */
const INFLATED_BYTES = 256 * 1024
const MOST_FRAMES = 6

/** A whole instance as it comes from an archive, or from a client: its index, its frames, its metadata. */
export const instance: Target = {
  name: 'instance',
  errors,
  dictionary: dataSetTokens,
  maxLength: 32_768,
  async seeds() {
    const ofFiles = (await files()).map((file) => {
      const { syntax, data } = splitPart10(file)
      const at = syntaxes.findIndex(({ uid }) => uid === syntax)
      return Buffer.concat([Buffer.of(at < 0 ? 5 : at), data])
    })
    return [...ofFiles.filter(({ length }) => length < 8_192), ...madeInstances()]
  },
  async run(input) {
    const choice = input[0] ?? 0
    const syntax = syntaxes[choice % syntaxes.length]!
    const options = { ...(choice > 0x7f ? FROM_CLIENT : FROM_ARCHIVE), inflatedLimit: INFLATED_BYTES }
    const data = input.subarray(1)
    const whole = await arrived([data], syntax, options)
    const pieces = await arrived(inPieces(data), syntax, options)
    // How much zlib gives in front of a fault is told by the pieces.
    if (!whole.isUninflatable && !pieces.isUninflatable) {
      same('An instance that comes in pieces is another', whole.text, pieces.text)
    }
    if (whole.readable) await readAll(whole.readable)
  },
}

function madeInstances(): Buffer[] {
  const fragments = [
    Buffer.from('0000000008000000', 'hex'),
    Buffer.from('ffd8ffd9', 'hex'),
    Buffer.from('ffd8ffd9', 'hex'),
  ]
  const ofFrames = (frames: string) => (dataset: ReturnType<typeof instanceDataset>) =>
    void dataset.set(Attribute.NumberOfFrames, frames).set(Attribute.Rows, 2).set(Attribute.Columns, 3)
  const native = encodeDataset(instanceDataset({ change: ofFrames('5') }), EXPLICIT_VR_LITTLE_ENDIAN)
  const jpeg = encodeDataset(instanceDataset({ fragments, change: ofFrames('2') }), EXPLICIT_VR_LITTLE_ENDIAN)
  const noTable = encodeDataset(
    instanceDataset({ fragments: [Buffer.alloc(0), ...fragments.slice(1)], change: ofFrames('2') }),
    EXPLICIT_VR_LITTLE_ENDIAN,
  )
  const words = (...numbers: number[]): Buffer => Buffer.from(BigUint64Array.from(numbers.map(BigInt)).buffer)
  const extended = encodeDataset(
    instanceDataset({
      fragments: [Buffer.alloc(0), ...fragments.slice(1)],
      change: (dataset) => {
        ofFrames('2')(dataset)
        dataset.put(Attribute.ExtendedOffsetTable, { vr: 'OV', value: words(0, 12) })
        dataset.put(Attribute.ExtendedOffsetTableLengths, { vr: 'OV', value: words(4, 4) })
        const icon = new Dataset().put(Attribute.PixelData, { vr: 'OB', value: { fragments } })
        dataset.setItems(Attribute.ReferencedSOPSequence, [icon])
      },
    }),
    EXPLICIT_VR_LITTLE_ENDIAN,
  )
  const chosen = (choice: number, data: Bytes): Buffer => Buffer.concat([Buffer.of(choice), data])
  return [
    ...[0, 0x80, 7].map((choice) => chosen(choice, native)),
    ...[3, 0x83].map((choice) => chosen(choice, deflate(native))),
    ...[4, 5, 6, 0x85].map((choice) => chosen(choice, jpeg)),
    ...[4, 5, 6, 7].map((choice) => chosen(choice, noTable)),
    ...[4, 5].map((choice) => chosen(choice, extended)),
    chosen(1, encodeDataset(instanceDataset(), IMPLICIT_VR_LITTLE_ENDIAN)),
    chosen(2, encodeDataset(instanceDataset(), EXPLICIT_VR_BIG_ENDIAN)),
  ]
}

interface Arrived {
  readonly text: string
  readonly isUninflatable: boolean
  readonly readable?: ReadableDataSet
}

async function arrived(
  chunks: readonly Bytes[],
  syntax: TransferSyntax,
  options: typeof FROM_ARCHIVE,
): Promise<Arrived> {
  let arrival: Arrival
  try {
    arrival = await Arrival.begin(streamed(chunks), syntax, options)
  } catch (error) {
    return { text: failure(errors, error), isUninflatable: error instanceof InflateError }
  }
  const given: Bytes[] = []
  try {
    for await (const chunk of arrival) given.push(chunk)
  } catch (error) {
    // How much was given until a strict reading fails depends on the pieces.
    return { text: failure(errors, error), isUninflatable: error instanceof InflateError }
  }
  const bytes = Buffer.concat(given)
  const { index } = arrival
  const text = `${indexText(index)}\n${brief(bytes)}`
  if (index.cutAt !== undefined && index.cutAt !== bytes.length) {
    throw new BrokenPropertyError(`What is given does not end where it is cut: ${bytes.length}, not ${index.cutAt}`)
  }
  const isUninflatable = index.fault instanceof InflateError
  return {
    text,
    isUninflatable,
    readable: { syntax: arrival.syntax, index, until: async () => undefined, bytes: slice },
  }

  async function* slice(from = 0, to = Infinity): AsyncGenerator<Bytes> {
    const part = bytes.subarray(from, to)
    if (part.length > 0) yield part
    if (index.damage && to > bytes.length) throw new DamagedInstanceError(index.damage)
  }
}

function indexText({ identity, headBytes, values, fault, cutAt, complete, layout, frames }: InstanceIndex): string {
  const located: string[] = []
  for (let n = 1; frames && n <= Math.min(layout?.frames ?? 1, MOST_FRAMES); n++) {
    try {
      located.push(JSON.stringify(frames.located(n) ?? 'later'))
    } catch (error) {
      located.push(failure(errors, error))
    }
  }
  const bulk = values.map(({ path, offset, header }) => `${path} ${offset} ${header.length}`)
  return [
    JSON.stringify(identity),
    headBytes,
    bulk.join('\n'),
    fault?.message,
    cutAt,
    complete,
    layout?.frameBits,
    ...located,
  ].join('\n')
}

/** Everything that is asked of an instance once it is there. */
async function readAll(source: ReadableDataSet): Promise<void> {
  // Deflated bytes that pass are not looked into: an index names no places in them.
  if (source.syntax.deflated) return
  const { index } = source
  const metadata = await readMetadata(source.bytes(), source.syntax, source.syntax, () => undefined)
  JSON.parse(encodeJson(metadata))
  dump(index.attributes)
  await outcomeOf(errors, () => readFrames(source))
  await outcomeOf(errors, () => readBulkData(source))
  const walk = walkElements({ syntax: source.syntax, bytes: () => source.bytes() })
  await outcomeOf(errors, async () => {
    for await (const { path } of walk) if (path === '') throw new BrokenPropertyError('An element has no path')
    return ''
  })
}

async function readFrames(source: ReadableDataSet): Promise<string> {
  const layout = await layoutOf(source)
  if (!layout) return ''
  checkFragments(source.index)
  const frames = Array.from({ length: Math.min(layout.frames, MOST_FRAMES) }, (_, n) => n + 1)
  for (const n of new Set([...frames, layout.frames])) {
    await outcomeOf(errors, async () => sized(`Frame ${n}`, await frameOf(source, layout, n)))
  }
  return ''
}

/** What is likely of a frame while it arrives is what is certain in the end. */
function checkFragments({ frames, complete }: InstanceIndex): void {
  if (!frames || !complete) return
  for (const fragment of frames.fragments) {
    const found = frames.around(fragment.offset)
    if (fragment.length > 0) same('A fragment is not found', JSON.stringify(fragment), JSON.stringify(found))
  }
  for (let n = 1; n <= MOST_FRAMES; n++) {
    const certain = outcome(errors, () => JSON.stringify(frames.located(n) ?? 'none'))
    same(
      'Another frame is expected',
      certain,
      outcome(errors, () => JSON.stringify(frames.expected(n) ?? 'none')),
    )
  }
}

async function readBulkData(source: ReadableDataSet): Promise<string> {
  for await (const value of bulkValues(source)) {
    await outcomeOf(errors, async () => sized('A value', await bulkBytes(source, value)))
  }
  return ''
}

async function sized(what: string, { length, bytes }: SizedBytes): Promise<string> {
  const given = await collect(bytes())
  if (given.length !== length)
    throw new BrokenPropertyError(`${what} has not the bytes it says: ${given.length} of ${length}`)
  return ''
}
