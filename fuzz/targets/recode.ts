import { inflateRawSync } from 'node:zlib'
import type { Bytes } from '../../src/dicom/bytes.ts'
import { parseDataset } from '../../src/dicom/dataset-codec.ts'
import { MalformedDataSetError } from '../../src/dicom/element-reader.ts'
import { InflateError, recode } from '../../src/dicom/recode.ts'
import {
  DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN,
  EXPLICIT_VR_BIG_ENDIAN,
  EXPLICIT_VR_LITTLE_ENDIAN,
  IMPLICIT_VR_LITTLE_ENDIAN,
  type TransferSyntax,
} from '../../src/dicom/transfer-syntax.ts'
import { collectUntilError } from '../../test/support/byte-stream.ts'
import { deflate } from '../../test/support/deflated.ts'
import { brief, dump, failure } from '../outcome.ts'
import { inPieces, streamed } from '../pieces.ts'
import { dataSetTokens } from '../seeds.ts'
import { same, type Target } from '../target.ts'
import { dataSetSeeds } from './data-set.ts'

const errors = [MalformedDataSetError, InflateError]
/** The first byte of an input says which, for each side. */
const syntaxes: readonly TransferSyntax[] = [
  EXPLICIT_VR_LITTLE_ENDIAN,
  IMPLICIT_VR_LITTLE_ENDIAN,
  EXPLICIT_VR_BIG_ENDIAN,
  DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN,
]

/** A data set that is turned from one native syntax to another, deflated ones too. */
export const recoding: Target = {
  name: 'recode',
  errors,
  dictionary: dataSetTokens,
  // A thousand times as much may come of it.
  maxLength: 8_192,
  async seeds() {
    return (await dataSetSeeds()).flatMap((seed, n) => {
      const [from, to] = [seed[0]!, n % syntaxes.length]
      const deflated = Buffer.concat([Buffer.of(3 + 4 * to), deflate(seed.subarray(1))])
      const plain = Buffer.concat([Buffer.of(from + 4 * to), seed.subarray(1)])
      return from === 0 && n % 2 === 0 ? [plain, deflated] : [plain]
    })
  },
  async run(input) {
    const from = syntaxes[(input[0] ?? 0) & 3]!
    const to = syntaxes[((input[0] ?? 0) >> 2) & 3]!
    const data = input.subarray(1)
    const whole = await recoded([data], from, to)
    const pieces = await recoded(inPieces(data), from, to)
    // Whether inflating or reading fails first is told by the pieces.
    if (from.deflated && whole.end !== '' && pieces.end !== '') return
    same('Bytes that come in pieces end otherwise', whole.end, pieces.end)
    if (whole.end !== '') return
    same('Bytes that come in pieces are written otherwise', brief(whole.bytes), brief(pieces.bytes))
    if (from.deflated || from.uid === to.uid || !from.explicit || !to.explicit) return
    const written = to.deflated ? EXPLICIT_VR_LITTLE_ENDIAN : to
    same('It is another data set', dump(parseDataset(data, from)), dump(parseDataset(whole.bytes, written)))
  },
}

async function recoded(
  chunks: readonly Bytes[],
  from: TransferSyntax,
  to: TransferSyntax,
): Promise<{ bytes: Bytes; end: string }> {
  const { bytes, error } = await collectUntilError(recode(streamed(chunks), from, to))
  if (error !== undefined) return { bytes, end: failure(errors, error) }
  return { bytes: to.deflated && !from.deflated ? inflateRawSync(bytes) : bytes, end: '' }
}
