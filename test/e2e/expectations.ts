import { Attribute } from '../../src/dicom/attributes.ts'
import { transferSyntax } from '../../src/dicom/transfer-syntax.ts'
import { isDecodable } from '../../src/imaging/codecs/decode-frame.ts'
import { hasPrefix, splitPart10 } from '../support/part10.ts'
import { readParts } from '../support/multipart.ts'
import type { Capabilities } from './archive-under-test.ts'
import { differences } from './compare.ts'
import { isCompressed, readDataset, type Sample } from './corpus.ts'
import type { Answer } from './http.ts'

export const IMPLICIT_LE = '1.2.840.10008.1.2'
export const EXPLICIT_LE = '1.2.840.10008.1.2.1'

/** `stored`: transfer-syntax=*. `default`: Explicit VR LE, decoded where it is compressed (PS3.18 8.7.3). */
export type Asked = 'stored' | 'default'

/** The syntax in which an instance is to come; or who is to say that it cannot, and by which status. */
export type Outcome =
  | { readonly kind: 'given'; readonly syntax: string; readonly decoded: boolean }
  /** The archive has it and cannot give it in any way. */
  | { readonly kind: 'withheld' }
  /** It is there, but not in a form that the client takes. */
  | { readonly kind: 'unacceptable' }

export function outcomeOf(sample: Sample, asked: Asked, { takes }: Capabilities): Outcome {
  const { syntax } = sample
  // Neither Implicit VR nor Big Endian leave in a web response, and archives inflate what is deflated.
  if (!isCompressed(syntax)) return { kind: 'given', syntax: EXPLICIT_LE, decoded: false }
  if (!takes(syntax)) return { kind: 'withheld' }
  if (asked === 'stored') return { kind: 'given', syntax, decoded: false }
  if (isDecodable(syntax)) return { kind: 'given', syntax: EXPLICIT_LE, decoded: true }
  return transferSyntax(syntax).lossy ? { kind: 'given', syntax, decoded: false } : { kind: 'unacceptable' }
}

/** What is wrong with a file that came for a sample; nothing when it is the sample, bit for bit where that is promised. */
export function faultsOf(sample: Sample, file: Buffer, outcome: Outcome, capabilities: Capabilities): string[] {
  if (outcome.kind !== 'given') return [`${sample.name} came, though it is ${outcome.kind}`]
  const fault = (text: string): string => `${sample.name} (${sample.syntax}): ${text}`
  if (!hasPrefix(file)) return [fault('not a PS3.10 file')]
  const got = splitPart10(file)
  if (got.syntax !== outcome.syntax) return [fault(`came in ${got.syntax}, not ${outcome.syntax}`)]
  if (got.sopClass !== sample.sopClass || got.sopInstance !== sample.instance) {
    return [fault(`its meta information names ${got.sopClass} ${got.sopInstance}`)]
  }
  if (capabilities.verbatim && got.syntax === sample.syntax) {
    return got.data.equals(sample.data) ? [] : [fault(`${got.data.length} bytes differ from ${sample.data.length}`)]
  }
  const found = differences(sample.dataset, readDataset(got.data, got.syntax), {
    except: new Set(outcome.decoded ? CHANGED_BY_DECODING : []),
    looseVrs: losesVrs(sample, capabilities),
  })
  return found.map(fault)
}

/** Whether it is in Implicit VR on the way: of private and unknown elements the VR is then lost. */
export function losesVrs({ syntax }: Sample, { explicitFirst }: Capabilities): boolean {
  return syntax === IMPLICIT_LE || (!isCompressed(syntax) && !explicitFirst)
}

/** What is rewritten where an instance is decoded. */
const CHANGED_BY_DECODING: readonly number[] = [
  Attribute.PixelData,
  0x00280004, // Photometric Interpretation
  0x00280006, // Planar Configuration
  0x00282110, // Lossy Image Compression
  0x00282114, // its method
  Attribute.ExtendedOffsetTable,
  Attribute.ExtendedOffsetTableLengths,
  0x00880200, // Icon Image Sequence
]

/** What is wrong with the parts of an answer for samples, in any order, each once; `complete` says that all must be there. */
export function multipartFaults(
  answer: Answer,
  samples: readonly Sample[],
  asked: Asked,
  capabilities: Capabilities,
): string[] {
  const type = answer.headers.get('content-type') ?? ''
  if (!/^multipart\/related; type="application\/dicom"; boundary=/.test(type)) return [`the answer is ${type}`]
  const left = new Map(samples.map((sample) => [sample.instance, sample]))
  const faults: string[] = []
  for (const { headers, body } of readParts(type, answer.body)) {
    const { syntax, sopInstance } = splitPart10(body)
    const sample = left.get(sopInstance)
    left.delete(sopInstance)
    if (!sample) {
      faults.push(`${sopInstance} came, though nobody asked for it, or it came twice`)
      continue
    }
    const partType = headers.get('content-type')
    if (partType !== `application/dicom; transfer-syntax=${syntax}`) {
      faults.push(`${sample.name}: its part is ${String(partType)}, its meta information says ${syntax}`)
    }
    faults.push(...faultsOf(sample, body, outcomeOf(sample, asked, capabilities), capabilities))
  }
  const missing = [...left.values()].filter((sample) => outcomeOf(sample, asked, capabilities).kind === 'given')
  return [...faults, ...missing.map(({ name, syntax }) => `${name} (${syntax}) is missing`)]
}

/** The archive failed, and that is what is said. */
export function isFailure({ status, headers }: Answer): boolean {
  return status >= 500 && status !== 500 && headers.get('content-type') === 'application/problem+json'
}
