import { Breather } from '../../dicom/breather.ts'
import type { Bytes } from '../../dicom/bytes.ts'

/** Text that is made piece by piece, in UTF-8: others have their turn meanwhile. */
export async function* encodedText(pieces: Iterable<string>): AsyncGenerator<Bytes> {
  const breather = new Breather()
  for (const piece of pieces) {
    yield Buffer.from(piece)
    if (breather.isDue) await breather.breathe()
  }
}
