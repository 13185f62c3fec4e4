import { EXPLICIT_VR_LITTLE_ENDIAN, type TransferSyntax } from '../../dicom/transfer-syntax.ts'

export const OCTET_STREAM = 'application/octet-stream'

const PREFIX = '1.2.840.10008.1.2'

/** PS3.18 Tables 8.7.3-4 and 8.7.3-5: the syntaxes of each media type of compressed pixel data, its default first. */
const syntaxes: Readonly<Record<string, readonly string[]>> = {
  'image/jpeg': ['.4.70', '.4.50', '.4.51', '.4.57'],
  'image/dicom-rle': ['.5'],
  'image/jls': ['.4.80', '.4.81'],
  'image/jp2': ['.4.90', '.4.91'],
  'image/jpx': ['.4.92', '.4.93'],
  'image/jphc': ['.4.201', '.4.202', '.4.203'],
  'image/jxl': ['.4.110', '.4.111', '.4.112'],
  'video/mpeg': ['.4.100', '.4.100.1', '.4.101', '.4.101.1'],
  'video/mp4': [
    '.4.102',
    '.4.102.1',
    '.4.103',
    '.4.103.1',
    '.4.104',
    '.4.104.1',
    '.4.105',
    '.4.105.1',
    '.4.106',
    '.4.106.1',
  ],
  'video/H265': ['.4.107', '.4.108'],
}

/** Names of earlier editions, and of habit. */
const aliases: Readonly<Record<string, string>> = {
  'image/x-dicom-rle': 'image/dicom-rle',
  'image/dicom+rle': 'image/dicom-rle',
  'image/x-jls': 'image/jls',
  'image/dicom+jpeg-ls': 'image/jls',
  'image/dicom+jpeg': 'image/jpeg',
  'image/dicom+jp2': 'image/jp2',
  'image/dicom+jpx': 'image/jpx',
  'video/h265': 'video/H265',
}

const byUid = new Map(
  Object.entries(syntaxes).flatMap(([media, uids]) => uids.map((uid) => [PREFIX + uid, media] as const)),
)

/** The media type of pixel data as stored. */
export function mediaTypeOf({ uid }: TransferSyntax): string {
  return byUid.get(uid) ?? OCTET_STREAM
}

/** The syntax a media type means without a transfer-syntax parameter; undefined for a value other than pixel data. */
export function defaultSyntaxOf(media: string): string | undefined {
  if (media === OCTET_STREAM) return EXPLICIT_VR_LITTLE_ENDIAN.uid
  const [first] = syntaxes[media] ?? []
  return first === undefined ? undefined : PREFIX + first
}

/** One stream from start to end: its frames cannot be given one by one (PS3.5 8.2.5 and following). */
export function isVideo(syntax: TransferSyntax): boolean {
  return mediaTypeOf(syntax).startsWith('video/')
}

/** A media type, in lower case, under the name the standard has for it now. */
export function withoutAlias(media: string): string {
  return aliases[media] ?? media
}
