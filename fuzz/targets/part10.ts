import { MalformedDataSetError } from '../../src/dicom/element-reader.ts'
import { NotDicomError, part10Header, readPart10 } from '../../src/dicom/part10.ts'
import { EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN } from '../../src/dicom/transfer-syntax.ts'
import type { Bytes } from '../../src/dicom/bytes.ts'
import { collect } from '../../test/support/byte-stream.ts'
import { brief, dump, outcomeOf } from '../outcome.ts'
import { inPieces, streamed } from '../pieces.ts'
import { dataSetTokens, files } from '../seeds.ts'
import { same, tokens, type Target } from '../target.ts'

const errors = [NotDicomError, MalformedDataSetError]
const BEGINNING_BYTES = 1_024

/** Files (PS3.10 7): where their data set begins, and in which syntax it is. */
export const part10: Target = {
  name: 'part10',
  errors,
  dictionary: [
    ...tokens('DICM', '\x02\0\0\0UL\x04\0', '\x02\0\x10\0UI', '\x02\0\x01\0OB', '\x02\0\x03\0UI'),
    ...dataSetTokens,
  ],
  async seeds() {
    const header = part10Header('1.2.840.10008.5.1.4.1.1.2', '1.2.3', EXPLICIT_VR_LITTLE_ENDIAN)
    const element = Buffer.from('0800600043530200435408006100', 'hex')
    return [
      ...(await files(BEGINNING_BYTES)),
      Buffer.concat([header, element]),
      Buffer.concat([header.subarray(132), element]),
      Buffer.concat([part10Header('1.2', '1.3', IMPLICIT_VR_LITTLE_ENDIAN), element]),
      element,
    ]
  },
  async run(input) {
    const whole = await read([input])
    same('A file that comes in pieces is another', whole, await read(inPieces(input)))
  },
}

function read(chunks: readonly Bytes[]): Promise<string> {
  return outcomeOf(errors, async () => {
    const { meta, syntax, body } = await readPart10(streamed(chunks))
    return `${dump(meta)}${syntax.uid}\n${brief(await collect(body))}`
  })
}
