import type { Bytes } from '../../dicom/bytes.ts'
import type { Uid } from '../../dicom/uids.ts'

/** What the header of an MP4 file says of its video (ISO/IEC 14496-12). */
export interface VideoHeader {
  readonly syntax: Uid
  readonly rows: number
  readonly columns: number
  readonly frames: number
  /** Milliseconds, on average. */
  readonly frameTime: number
  readonly bitsStored: number
}

/** A video that no transfer syntax is for, or a file that is none. */
export class UnusableVideoError extends Error {
  readonly code = 'UNUSABLE_VIDEO'
  constructor(problem: string) {
    super(`The video cannot be stored: ${problem}`)
    this.name = 'UnusableVideoError'
  }
}

const PREFIX = '1.2.840.10008.1.2.4'

/** The header of a file, at most: hours of video have some MB. */
export const MAX_HEADER_BYTES = 16 * 1024 * 1024
/** Boxes beside each other. */
const MAX_BOXES = 10_000
/** Of a table of decoding times: one for each frame of hours, where all differ. */
const MAX_ENTRIES = 1_000_000
/** Of days. */
const MAX_FRAMES = 10_000_000

interface Box {
  readonly type: string
  /** Of what is in it. */
  readonly from: number
  readonly end: number
}

/**
 * Where the header (`moov`) of a file is whole within its first bytes: the header; `undefined` where more of them are
 * needed. A box that is to go on behind `length`, that of the file, is cut short. @throws UnusableVideoError
 */
export function mp4Header(bytes: Bytes, length: number): VideoHeader | undefined {
  try {
    return headerOf(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength), length)
  } catch (error) {
    // A box that is shorter than its fields.
    if (error instanceof RangeError) throw new UnusableVideoError('its header is cut short')
    throw error
  }
}

function headerOf(file: Buffer, length: number): VideoHeader | undefined {
  if (file.length < 12) return undefined
  if (file.toString('latin1', 4, 8) !== 'ftyp') throw new UnusableVideoError('it is no MP4 file')
  let found: VideoHeader | undefined
  for (let at = 0, count = 0; at + 16 <= file.length; count++) {
    const { size, header } = sizeAt(file, at)
    const type = file.toString('latin1', at + 4, at + 8)
    // The last one may go on to the end of the file.
    if (size === 0) return found
    if (size < header || count > MAX_BOXES) throw new UnusableVideoError('its boxes have no order')
    if (at + size > length) throw new UnusableVideoError('it is cut short')
    if (type === 'moov') {
      if (size > MAX_HEADER_BYTES) throw new UnusableVideoError('its header is longer than any')
      if (at + size > file.length) return undefined
      found = videoOf(file, { type, from: at + header, end: at + size })
    }
    at += size
  }
  return found
}

function sizeAt(file: Buffer, at: number): { readonly size: number; readonly header: number } {
  const size = file.readUInt32BE(at)
  // 1: it is behind the type, in 64 bits.
  return size === 1 ? { size: Number(file.readBigUInt64BE(at + 8)), header: 16 } : { size, header: 8 }
}

function boxes(file: Buffer, from: number, end: number): Box[] {
  const found: Box[] = []
  for (let at = from; at + 8 <= end;) {
    const { size, header } = sizeAt(file, at)
    if (size < header || at + size > end || found.length > MAX_BOXES) break
    found.push({ type: file.toString('latin1', at + 4, at + 8), from: at + header, end: at + size })
    at += size
  }
  return found
}

function within(file: Buffer, box: Box | undefined, ...path: readonly string[]): Box | undefined {
  return path.reduce<Box | undefined>(
    (around, type) => around && boxes(file, around.from, around.end).find((one) => one.type === type),
    box,
  )
}

function videoOf(file: Buffer, moov: Box): VideoHeader {
  const tracks = boxes(file, moov.from, moov.end).filter(({ type }) => type === 'trak')
  const videos = tracks.filter((track) => {
    const handler = within(file, track, 'mdia', 'hdlr')
    return handler && file.toString('latin1', handler.from + 8, handler.from + 12) === 'vide'
  })
  const [track] = videos
  if (!track || videos.length > 1)
    throw new UnusableVideoError(`it has ${videos.length} video tracks, and one is needed`)
  if (isTurned(file, within(file, track, 'tkhd'))) {
    throw new UnusableVideoError('its track is to be turned or scaled when it is shown, which DICOM has no word for')
  }
  const description = within(file, track, 'mdia', 'minf', 'stbl', 'stsd')
  const entry = description && boxes(file, description.from + 8, description.end)[0]
  const times = within(file, track, 'mdia', 'minf', 'stbl', 'stts')
  const media = within(file, track, 'mdia', 'mdhd')
  if (!entry || !times || !media) throw new UnusableVideoError('its header lacks a part')
  const { frames, duration } = samplesOf(file, times)
  const timescale = file.readUInt32BE(media.from + (file[media.from] === 1 ? 20 : 12))
  const [columns, rows] = [file.readUInt16BE(entry.from + 24), file.readUInt16BE(entry.from + 26)]
  if ([frames, timescale, duration, columns, rows].includes(0) || frames > MAX_FRAMES) {
    throw new UnusableVideoError('it has no frames, or does not list them')
  }
  return { ...syntaxOf(file, entry), columns, rows, frames, frameTime: (1000 * duration) / timescale / frames }
}

/** The matrix of a track header: 16.16 fixed point, a and d 1, b and c 0 where nothing is to be done. */
function isTurned(file: Buffer, header: Box | undefined): boolean {
  if (!header) return false
  const at = header.from + (file[header.from] === 1 ? 52 : 40)
  const [a, b, c, d] = [0, 4, 12, 16].map((offset) => file.readInt32BE(at + offset))
  return !(a === 0x10000 && b === 0 && c === 0 && d === 0x10000)
}

/** The frames that a table of decoding times counts, and how long they are together. */
function samplesOf(file: Buffer, { from, end }: Box): { readonly frames: number; readonly duration: number } {
  let [frames, duration] = [0, 0]
  const entries = file.readUInt32BE(from + 4)
  if (entries > MAX_ENTRIES) throw new UnusableVideoError('its header is longer than any')
  for (let n = 0, at = from + 8; n < entries && at + 8 <= end; n++, at += 8) {
    frames += file.readUInt32BE(at)
    duration += file.readUInt32BE(at) * file.readUInt32BE(at + 4)
  }
  return { frames, duration }
}

function syntaxOf(file: Buffer, entry: Box): Pick<VideoHeader, 'syntax' | 'bitsStored'> {
  // Behind the fields of a visual sample entry.
  const inner = { ...entry, from: entry.from + 78 }
  const avc = within(file, inner, 'avcC')
  const hevc = within(file, inner, 'hvcC')
  // Shorter than what is read of it.
  if ((avc && avc.end - avc.from < 4) || (hevc && hevc.end - hevc.from < 13)) throw new RangeError('cut short')
  if (avc) return avcSyntax(file[avc.from + 1]!, file[avc.from + 3]!)
  if (hevc) return hevcSyntax(file[hevc.from + 1]! & 0x1f, file[hevc.from + 12]!)
  throw new UnusableVideoError('it is neither H.264 nor H.265')
}

/** Baseline, main and high profile (66, 77, 100), which a decoder of the last can read (PS3.5 8.2.7, 8.2.8). */
function avcSyntax(profile: number, level: number): Pick<VideoHeader, 'syntax' | 'bitsStored'> {
  if (![66, 77, 100].includes(profile))
    throw new UnusableVideoError(`it is in the H.264 profile ${profile}: high (100) is the most`)
  if (level <= 41) return { syntax: `${PREFIX}.102`, bitsStored: 8 }
  if (level <= 42) return { syntax: `${PREFIX}.104`, bitsStored: 8 }
  throw new UnusableVideoError(`it is of the H.264 level ${level / 10}: 4.2 is the most`)
}

/** Main and main 10 up to level 5.1, which is written as 153 (PS3.5 8.2.10, 8.2.11). */
function hevcSyntax(profile: number, level: number): Pick<VideoHeader, 'syntax' | 'bitsStored'> {
  if (level > 153) throw new UnusableVideoError(`it is of the H.265 level ${level / 30}: 5.1 is the most`)
  if (profile === 1) return { syntax: `${PREFIX}.107`, bitsStored: 8 }
  if (profile === 2) return { syntax: `${PREFIX}.108`, bitsStored: 10 }
  throw new UnusableVideoError(`it is in the H.265 profile ${profile}: main (1) and main 10 (2) can be stored`)
}
