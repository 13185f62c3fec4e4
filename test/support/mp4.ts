/** What an MP4 file without any real frame says of itself. */
export interface Mp4Shape {
  /** `moov` behind `mdat`. */
  readonly headerLast?: boolean
  /** Of H.264, in tenths. */
  readonly level?: number
  readonly profile?: number
  readonly isTurned?: boolean
  /** The configuration of H.265 in place of that of H.264: profile and level. */
  readonly hevc?: { readonly profile: number; readonly level: number }
}

function box(type: string, ...parts: readonly Uint8Array[]): Buffer {
  const content = Buffer.concat(parts)
  const header = Buffer.alloc(8)
  header.writeUInt32BE(8 + content.length)
  header.write(type, 4, 'latin1')
  return Buffer.concat([header, content])
}

const u32 = (...values: readonly number[]): Buffer => {
  const bytes = Buffer.alloc(4 * values.length)
  for (const [n, value] of values.entries()) bytes.writeInt32BE(value | 0, 4 * n)
  return bytes
}

/** An MP4 file (ISO/IEC 14496-12) of 50 frames of 640 x 480, 40 ms each. */
export function mp4File(shape: Mp4Shape = {}): Buffer {
  const { headerLast = false, level = 41, profile = 100, isTurned = false, hevc } = shape
  const matrix = isTurned
    ? u32(0, 0x10000, 0, -0x10000, 0, 0, 0, 0, 0x40000000)
    : u32(0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000)
  const entry = Buffer.alloc(78)
  entry.writeUInt16BE(640, 24)
  entry.writeUInt16BE(480, 26)
  const hvcc = Buffer.alloc(13)
  if (hevc) hvcc.set([1, hevc.profile], 0)
  if (hevc) hvcc[12] = hevc.level
  const coded = hevc
    ? box('hvc1', entry, box('hvcC', hvcc))
    : box('avc1', entry, box('avcC', Buffer.of(1, profile, 0, level, 0xff)))
  const table = box('stbl', box('stsd', u32(0, 1), coded), box('stts', u32(0, 1, 50, 40)))
  const handler = box('hdlr', u32(0, 0), Buffer.from('vide'), Buffer.alloc(13))
  const media = box('mdia', box('mdhd', u32(0, 0, 0, 1_000, 2_000, 0)), handler, box('minf', table))
  const moov = box('moov', box('trak', box('tkhd', Buffer.alloc(40), matrix, u32(0, 0)), media))
  const mdat = box('mdat', Buffer.alloc(5_001, 7))
  return Buffer.concat([box('ftyp', Buffer.from('isom')), ...(headerLast ? [mdat, moov] : [moov, mdat])])
}
