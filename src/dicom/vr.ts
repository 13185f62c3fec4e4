/** How the values of a representation are read and written (PS3.5 6.2). */
export interface ValueRepresentation {
  /** Size of the length field in explicit VR: 2, or 4 after two reserved bytes (PS3.5 7.1.2). */
  readonly lengthBytes: 2 | 4
  /** The unit that changes with byte order: 1 for characters and bytes. */
  readonly wordBytes: 1 | 2 | 4 | 8
  /** Pads an odd value to even length. */
  readonly pad: 0x00 | 0x20
  readonly kind: 'string' | 'text' | 'binary' | 'number' | 'tag' | 'sequence'
  /** Specific Character Set applies (PS3.5 6.1.2.3). */
  readonly charset: boolean
  /** Leading spaces carry no meaning (PS3.5 6.2). */
  readonly trimStart: boolean
  /** Bytes of one binary value. */
  readonly valueBytes?: number
}

const string = (charset: boolean, trimStart: boolean, lengthBytes: 2 | 4 = 2): ValueRepresentation => ({
  lengthBytes,
  wordBytes: 1,
  pad: 0x20,
  kind: 'string',
  charset,
  trimStart,
})
const text = (charset: boolean, lengthBytes: 2 | 4 = 2): ValueRepresentation => ({
  lengthBytes,
  wordBytes: 1,
  pad: 0x20,
  kind: 'text',
  charset,
  trimStart: false,
})
const number = (bytes: 2 | 4 | 8, lengthBytes: 2 | 4 = 2): ValueRepresentation => ({
  lengthBytes,
  wordBytes: bytes,
  pad: 0,
  kind: 'number',
  charset: false,
  trimStart: false,
  valueBytes: bytes,
})
const binary = (wordBytes: 1 | 2 | 4 | 8): ValueRepresentation => ({
  lengthBytes: 4,
  wordBytes,
  pad: 0,
  kind: 'binary',
  charset: false,
  trimStart: false,
})

/** PS3.5 Table 6.2-1, with 7.1.2 for the length field. */
export const valueRepresentations = {
  AE: string(false, true),
  AS: string(false, true),
  AT: { ...number(2), kind: 'tag', valueBytes: 4 },
  CS: string(false, true),
  DA: string(false, false),
  DS: string(false, true),
  DT: string(false, false),
  FL: number(4),
  FD: number(8),
  IS: string(false, true),
  LO: string(true, true),
  LT: text(true),
  OB: binary(1),
  OD: binary(8),
  OF: binary(4),
  OL: binary(4),
  OV: binary(8),
  OW: binary(2),
  PN: string(true, true),
  SH: string(true, true),
  SL: number(4),
  SQ: { lengthBytes: 4, wordBytes: 1, pad: 0, kind: 'sequence', charset: false, trimStart: false },
  SS: number(2),
  ST: text(true),
  SV: number(8, 4),
  TM: string(false, false),
  UC: string(true, false, 4),
  UI: { ...string(false, true), pad: 0x00 },
  UL: number(4),
  UN: binary(1),
  UR: text(false, 4),
  US: number(2),
  UT: text(true, 4),
  UV: number(8, 4),
} as const satisfies Record<string, ValueRepresentation>

export type Vr = keyof typeof valueRepresentations

export function representation(vr: Vr): ValueRepresentation {
  return valueRepresentations[vr]
}

/** The longest value an explicit VR header with a 16-bit length can carry; longer ones are written as UN (PS3.5 6.2.2). */
export const MAX_SHORT_LENGTH = 0xfffe

const byCode = new Map<number, Vr>(
  (Object.keys(valueRepresentations) as Vr[]).map((vr) => [(vr.charCodeAt(0) << 8) | vr.charCodeAt(1), vr]),
)

/** The representation named by two bytes of an explicit VR header, first byte high. */
export function vrOfCode(code: number): Vr | undefined {
  return byCode.get(code)
}
