import { encapsulatedSyntaxes, EXPLICIT_VR_LITTLE_ENDIAN, OCTET_STREAM } from '../../dicom/transfer-syntax.ts'

/** Names of earlier editions, and of habit. */
const aliases: Readonly<Record<string, string>> = {
  'image/x-dicom-rle': 'image/dicom-rle',
  'image/dicom+rle': 'image/dicom-rle',
  'image/x-jls': 'image/jls',
  'image/dicom+jpeg-ls': 'image/jls',
  'image/dicom+jpeg': 'image/jpeg',
  'image/dicom+jp2': 'image/jp2',
  'image/dicom+jpx': 'image/jpx',
  'image/jhc': 'image/jphc',
  'video/h265': 'video/H265',
}

/** The syntax a media type means without a transfer-syntax parameter; undefined for a value other than pixel data. */
export function defaultSyntaxOf(media: string): string | undefined {
  if (media === OCTET_STREAM) return EXPLICIT_VR_LITTLE_ENDIAN.uid
  return encapsulatedSyntaxes.find((syntax) => syntax.media === media)?.uid
}

/** A media type, in lower case, under the name the standard has for it now. */
export function withoutAlias(media: string): string {
  return aliases[media] ?? media
}
