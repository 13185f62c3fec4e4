import { Attribute } from '../../src/dicom/attributes.ts'
import type { Bytes } from '../../src/dicom/bytes.ts'
import type { Dataset } from '../../src/dicom/dataset.ts'
import { DatasetReader, encodeDataset, parseDataset } from '../../src/dicom/dataset-codec.ts'
import { ElementReader, MalformedDataSetError, type ElementToken } from '../../src/dicom/element-reader.ts'
import {
  EXPLICIT_VR_BIG_ENDIAN,
  EXPLICIT_VR_LITTLE_ENDIAN,
  IMPLICIT_VR_LITTLE_ENDIAN,
  type TransferSyntax,
} from '../../src/dicom/transfer-syntax.ts'
import { splitPart10 } from '../../test/support/part10.ts'
import { datasetOf, randomEncapsulated, randomExplicit, randomImplicit } from '../../test/support/random-dataset.ts'
import { brief, dump, outcome } from '../outcome.ts'
import { inPieces } from '../pieces.ts'
import { dataSetTokens, files, made } from '../seeds.ts'
import { same, type Target } from '../target.ts'

const errors = [MalformedDataSetError]
/** The first byte of an input says which. */
const syntaxes: readonly TransferSyntax[] = [
  EXPLICIT_VR_LITTLE_ENDIAN,
  IMPLICIT_VR_LITTLE_ENDIAN,
  EXPLICIT_VR_BIG_ENDIAN,
]

export function chosen(syntax: TransferSyntax, data: Bytes): Buffer {
  const at = syntaxes.findIndex(({ uid }) => uid === syntax.uid)
  return Buffer.concat([Buffer.of(Math.max(at, 0)), data])
}

/** The syntax that an input chooses, and the data set in it. */
export function dataSetIn(input: Buffer): { syntax: TransferSyntax; data: Buffer } {
  return { syntax: syntaxes[(input[0] ?? 0) % syntaxes.length]!, data: input.subarray(1) }
}

export async function dataSetSeeds(): Promise<Buffer[]> {
  const ofFiles = (await files()).map((file) => {
    const { syntax: uid, data } = splitPart10(file)
    return chosen(syntaxes.find((one) => one.uid === uid) ?? EXPLICIT_VR_LITTLE_ENDIAN, data)
  })
  const random = [
    ...made(randomEncapsulated, 30).map((list) => encoded(datasetOf(list), EXPLICIT_VR_LITTLE_ENDIAN)),
    ...made(randomExplicit, 15).map((list) => encoded(datasetOf(list), EXPLICIT_VR_BIG_ENDIAN)),
    ...made(randomImplicit, 15).map((list) => encoded(datasetOf(list), IMPLICIT_VR_LITTLE_ENDIAN)),
  ]
  return [...random, ...ofFiles.filter(({ length }) => length < 16_384)]
}

function encoded(dataset: ReturnType<typeof datasetOf>, syntax: TransferSyntax): Buffer {
  return chosen(syntax, encodeDataset(dataset, syntax))
}

/** Data sets that are not deflated (PS3.5 7). */
export const dataSet: Target = {
  name: 'data-set',
  errors,
  dictionary: dataSetTokens,
  seeds: dataSetSeeds,
  run(input) {
    const { syntax, data } = dataSetIn(input)
    const pieces = inPieces(data)
    same('Bytes that come in pieces are other elements', tokensOf([data], syntax), tokensOf(pieces, syntax))
    const read = parseDataset(data, syntax)
    const reader = new DatasetReader(syntax)
    for (const piece of pieces) reader.push(piece)
    same('Bytes that come in pieces are another data set', dump(read), dump(reader.end()))
    const written = encodeDataset(read, syntax)
    const again = parseDataset(written, syntax)
    if (syntax.explicit) same('A data set that is written and read again is another', withoutVr(read), withoutVr(again))
    // Once such a VR has become another nothing changes any more.
    const settled = encodeDataset(again, syntax)
    const last = encodeDataset(parseDataset(settled, syntax), syntax)
    same('Written again and again it is another', brief(settled), brief(last))
    parseDataset(data, syntax, { only: new Set([Attribute.SOPInstanceUID, Attribute.PixelData]) })
  },
}

/** A VR that is not known is read as UN, and UN as what the dictionary says (PS3.5 6.2.2). */
function withoutVr(dataset: Dataset): string {
  return dump(dataset).replaceAll(/^( *[0-9A-F]{8}) ../gm, '$1')
}

function tokensOf(chunks: readonly Bytes[], syntax: TransferSyntax): string {
  const reader = new ElementReader(syntax)
  let text = ''
  let value: Bytes[] = []
  const drain = (): void => {
    for (let token = reader.next(); token; token = reader.next()) {
      if (token.kind !== 'value') text += tokenText(token, reader.offset)
      else {
        value.push(token.bytes)
        if (!token.last) continue
        text += `value ${brief(Buffer.concat(value))}\n`
        value = []
      }
    }
  }
  const end = outcome(errors, () => {
    for (const chunk of chunks) {
      reader.push(chunk)
      drain()
    }
    reader.end()
    drain()
    return String(reader.done)
  })
  // Of a value that is cut: what came of it.
  return `${text}${brief(Buffer.concat(value))}\n${end}`
}

function tokenText(token: Exclude<ElementToken, { kind: 'value' }>, offset: number): string {
  return `${offset} ${JSON.stringify(token)}\n`
}
