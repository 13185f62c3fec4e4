/** A PS3.10 file taken apart, on purpose without the reader of src. */
export interface FileParts {
  readonly sopClass: string
  readonly sopInstance: string
  readonly syntax: string
  /** The data set, every byte behind group 0002. */
  readonly data: Buffer
}

/** PS3.10 7.1: preamble, prefix, group 0002 in Explicit VR Little Endian; a few old files are without. */
export function splitPart10(file: Buffer): FileParts {
  const values = new Map<number, string>()
  let at = hasPrefix(file) ? 132 : 0
  while (at + 8 <= file.length && file.readUInt16LE(at) === 0x0002) {
    const isLong = ['OB', 'UN'].includes(file.toString('latin1', at + 4, at + 6))
    const length = isLong ? file.readUInt32LE(at + 8) : file.readUInt16LE(at + 6)
    const start = at + (isLong ? 12 : 8)
    values.set(file.readUInt16LE(at + 2), file.toString('latin1', start, start + length).replace(/[\0 ]+$/, ''))
    at = start + length
  }
  if (values.size === 0) values.set(0x10, IMPLICIT_VR_LITTLE_ENDIAN)
  const text = (element: number): string => values.get(element) ?? ''
  return { sopClass: text(2), sopInstance: text(3), syntax: text(0x10), data: file.subarray(at) }
}

export function hasPrefix(file: Buffer): boolean {
  return file.toString('latin1', 128, 132) === 'DICM'
}

const IMPLICIT_VR_LITTLE_ENDIAN = '1.2.840.10008.1.2'
