import type { Bytes } from '../../dicom/bytes.ts'
import type { Imaging } from '../pool/imaging.ts'
import type { Transcoding } from './plan-transcoding.ts'

/** Converts one frame from one transfer syntax to the other. @throws as Imaging */
export async function convertFrame(
  frame: Bytes,
  { from, to, stored, native }: Transcoding,
  pool: Imaging,
  signal: AbortSignal,
): Promise<Bytes> {
  const decoded = from.encapsulated ? await pool.decode(frame, stored, from.uid, signal) : frame
  return to.encapsulated ? pool.encode(decoded, native, to.uid, signal) : decoded
}
