import type { ByteStream } from '../../dicom/bytes.ts'
import { untruncated } from '../../dicom/verify.ts'
import type { IncomingStore } from '../../dimse/scp.ts'
import { identify, type Identity } from '../identify.ts'

/**
 * Who an instance is that is stored to us, and its body, which fails at its end where that is inside an element: the
 * archive's word that it is whole is not enough.
 * @throws MalformedDataSetError, HeadTooLargeError, and what the body throws
 */
export async function arriving({
  body,
  syntax,
}: Pick<IncomingStore, 'body' | 'syntax'>): Promise<{ identity: Identity; body: ByteStream }> {
  const identified = await identify(body, syntax)
  return { identity: identified.identity, body: untruncated(identified.body, syntax) }
}
