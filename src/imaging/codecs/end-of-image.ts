import type { Bytes } from '../../dicom/bytes.ts'

const EOI = Buffer.of(0xff, 0xd9)

/**
 * A JPEG stream with an EOI marker at its end and no padding behind it: some decoders search for a missing one for
 * seconds.
 */
export function withEndOfImage(bytes: Bytes): Bytes {
  const trimmed = withoutZeros(bytes)
  return hasEndOfImage(trimmed) ? trimmed : Buffer.concat([trimmed, EOI])
}

/** Whether a stream ends in an EOI marker (EOC of JPEG 2000 has the same bytes), padding left aside. */
export function hasEndOfImage(bytes: Bytes): boolean {
  const trimmed = withoutZeros(bytes)
  return trimmed.at(-2) === 0xff && trimmed.at(-1) === 0xd9
}

function withoutZeros(bytes: Bytes): Bytes {
  let end = bytes.length
  while (end > 2 && bytes[end - 1] === 0) end--
  return bytes.subarray(0, end)
}
