import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Bytes } from '../../src/dicom/bytes.ts'
import { encodeDataset } from '../../src/dicom/dataset-codec.ts'
import {
  ElementReader,
  MalformedDataSetError,
  MAX_ELEMENTS,
  MAX_NESTING,
  type ElementToken,
} from '../../src/dicom/element-reader.ts'
import { EXPLICIT_VR_BIG_ENDIAN, EXPLICIT_VR_LITTLE_ENDIAN } from '../../src/dicom/transfer-syntax.ts'
import { byteByByte, cutAt, cuts } from '../support/chunking.ts'
import {
  allVrs,
  delimiter,
  element,
  encodings,
  explicitBig,
  explicitLittle,
  header,
  hex,
  implicitLittle,
  item,
  itemEnd,
  longVrs,
  pixelSequence,
  sequence,
  sequenceEnd,
  turned,
  unknownSequence,
  type Encoding,
} from '../support/dicom-bytes.ts'
import { datasetOf, randomEncapsulated, randomExplicit } from '../support/random-dataset.ts'

type Token = Exclude<ElementToken, { kind: 'value' }> | { kind: 'value'; hex: string }

/** All tokens of the chunks, the pieces of a value joined. Each chunk is read to its end before the next, as in use. */
function read(chunks: readonly Bytes[] | Bytes, encoding: Encoding): Token[] {
  const reader = new ElementReader(encoding)
  const tokens: Token[] = []
  let pieces: Bytes[] = []
  const drain = (): void => {
    for (let token = reader.next(); token; token = reader.next()) {
      if (token.kind !== 'value') tokens.push(token)
      else {
        expect(token.bytes.length).toBeGreaterThan(0)
        pieces.push(Buffer.from(token.bytes))
        if (!token.last) continue
        tokens.push({ kind: 'value', hex: Buffer.concat(pieces).toString('hex') })
        pieces = []
      }
    }
  }
  for (const chunk of chunks instanceof Uint8Array ? [chunks] : chunks) {
    reader.push(chunk)
    drain()
  }
  expect(reader.done).toBe(false)
  reader.end()
  drain()
  expect(reader.done).toBe(true)
  expect(pieces).toEqual([])
  return tokens
}

/** A line for each token: `0008,0060 CS 2 = 4354`, sequences and items by `[`, `{`, `}`, `]`, fragments by `|`. */
function outline(chunks: readonly Bytes[] | Bytes, encoding: Encoding): string[] {
  const lines: string[] = []
  for (const token of read(chunks, encoding)) {
    if (token.kind === 'value') lines.push(`${lines.pop()!} = ${token.hex}`)
    else lines.push(line(token))
  }
  return lines
}

function line(token: Exclude<Token, { kind: 'value' }>): string {
  const length = (value: number | undefined): string => String(value ?? 'u')
  switch (token.kind) {
    case 'element':
    case 'sequence-start':
    case 'pixel-sequence-start': {
      const { tag, vr } = token.header
      const name = `${(tag >>> 16).toString(16).padStart(4, '0')},${(tag & 0xffff).toString(16).padStart(4, '0')}`
      const bracket = token.kind === 'element' ? '' : token.kind === 'sequence-start' ? ' [' : ' <'
      return `${name} ${vr} ${length(token.header.length)}${bracket}`
    }
    case 'sequence-end':
      return ']'
    case 'item-start':
      return `{ ${length(token.length)}`
    case 'item-end':
      return '}'
    case 'fragment':
      return `| ${token.index} ${token.length}`
  }
}

function failure(chunks: readonly Bytes[] | Bytes, encoding: Encoding): MalformedDataSetError {
  try {
    read(chunks, encoding)
  } catch (error) {
    if (error instanceof MalformedDataSetError) return error
    throw error
  }
  throw new Error('was read without an error')
}

const modality = (encoding: Encoding): Buffer => element(encoding, 0x00080060, 'CS', 'CT')
const name = (encoding: Encoding): Buffer => element(encoding, 0x00100010, 'PN', 'A^B ')
const nameLine = '0010,0010 PN 4 = 415e4220'

describe('an element', () => {
  it('case 112: is the same in explicit and implicit VR', () => {
    const expected = [
      { kind: 'element', header: { tag: 0x00080060, vr: 'CS', length: 2 }, bigEndian: false },
      { kind: 'value', hex: '4354' },
    ]
    expect(read(hex('08006000 4353 0200 4354'), explicitLittle)).toEqual(expected)
    expect(read(hex('08006000 02000000 4354'), implicitLittle)).toEqual(expected)
  })

  it('case 113: of UV has a header of 12 bytes', () => {
    expect(outline(hex('08000c04 5556 0000 08000000 0102030405060708'), explicitLittle)).toEqual([
      '0008,040c UV 8 = 0102030405060708',
    ])
  })

  it.each(allVrs.filter((vr) => vr !== 'SQ'))('case 113: of VR %s is read in both explicit syntaxes', (vr) => {
    const value = hex('000102030405060708090a0b0c0d0e0f')
    const headerBytes = longVrs.includes(vr) ? 12 : 8
    for (const encoding of [explicitLittle, explicitBig]) {
      const bytes = element(encoding, 0x00091001, vr, value)
      expect(bytes).toHaveLength(headerBytes + 16)
      const wire = encoding.bigEndian ? turned(vr, value) : value
      expect(outline(Buffer.concat([bytes, name(encoding)]), encoding)).toEqual([
        `0009,1001 ${vr} 16 = ${wire.toString('hex')}`,
        nameLine,
      ])
    }
  })

  it('has its VR from the dictionary in implicit VR, private creators are LO, other private ones UN', () => {
    const elements = [
      element(implicitLittle, 0x00090010, '', 'ACME'),
      element(implicitLittle, 0x00091001, '', 'xy'),
      element(implicitLittle, 0x0009ff01, '', 'xy'),
      element(implicitLittle, 0x00100010, '', 'A^B '),
      element(implicitLittle, 0x00100011, '', '??'),
      element(implicitLittle, 0x60023000, '', '\x01\x02'),
      element(implicitLittle, 0x7fe00010, '', '\x01\x02'),
    ]
    expect(outline(Buffer.concat(elements), implicitLittle)).toEqual([
      '0009,0010 LO 4 = 41434d45',
      '0009,1001 UN 2 = 7879',
      '0009,ff01 UN 2 = 7879',
      nameLine,
      '0010,0011 UN 2 = 3f3f',
      '6002,3000 OW 2 = 0102',
      '7fe0,0010 OW 2 = 0102',
    ])
  })

  it('says in which byte order its value is', () => {
    for (const encoding of encodings) {
      const [first] = read(modality(encoding), encoding)
      expect(first).toMatchObject({ kind: 'element', bigEndian: encoding.bigEndian })
    }
  })

  it('of a length beyond 2^31 is no error until bytes are missing', () => {
    const reader = new ElementReader(explicitLittle)
    reader.push(header(explicitLittle, 0x7fe00010, 'OB', 0xfffffffe))
    expect(reader.next()).toMatchObject({ kind: 'element', header: { length: 0xfffffffe } })
    expect(reader.next()).toBeUndefined()
    reader.end()
    expect(() => reader.next()).toThrow('The data ends 4294967294 bytes before the end of a value')
  })

  it('gives the bytes of its value as they come, without waiting for the rest', () => {
    const reader = new ElementReader(explicitLittle)
    const chunk = Buffer.concat([header(explicitLittle, 0x7fe00010, 'OB', 1000), Buffer.of(1, 2, 3)])
    reader.push(chunk)
    reader.next()
    const piece = reader.next()
    expect(piece).toEqual({ kind: 'value', bytes: Buffer.of(1, 2, 3), last: false })
    expect(piece?.kind === 'value' && piece.bytes.buffer === chunk.buffer).toBe(true)
    expect(reader.next()).toBeUndefined()
    expect(reader.offset).toBe(15)
  })

  it('of odd length is read as it is', () => {
    expect(
      outline(Buffer.concat([element(explicitLittle, 0x00080060, 'CS', 'CTX'), name(explicitLittle)]), explicitLittle),
    ).toEqual(['0008,0060 CS 3 = 435458', nameLine])
  })

  it('is read in the order and as often as it comes', () => {
    const bytes = Buffer.concat([name(explicitLittle), modality(explicitLittle), name(explicitLittle)])
    expect(outline(bytes, explicitLittle)).toEqual([nameLine, '0008,0060 CS 2 = 4354', nameLine])
  })
})

describe('a VR that is none', () => {
  const after = name(explicitLittle)

  it.each(['  ', '\0\0', '??', '--'])('%j stands for the one of the dictionary, with a length of 16 bits', (vr) => {
    const bytes = Buffer.concat([hex('08006000'), Buffer.from(vr, 'latin1'), hex('0200 4354'), after])
    expect(outline(bytes, explicitLittle)).toEqual(['0008,0060 CS 2 = 4354', nameLine])
  })

  it('of two capital letters, as a later edition may have, has a length of 32 bits and reads as UN', () => {
    const bytes = Buffer.concat([hex('08006000 5a5a 0000 02000000 4354'), after])
    expect(outline(bytes, explicitLittle)).toEqual(['0008,0060 UN 2 = 4354', nameLine])
    const big = Buffer.concat([hex('00080060 5a5a 0000 00000002 4354'), name(explicitBig)])
    expect(outline(big, explicitBig)).toEqual(['0008,0060 UN 2 = 4354', nameLine])
  })

  it('of other bytes means that this element is in implicit VR, and its sequence too', () => {
    const bytes = Buffer.concat([
      modality(implicitLittle),
      sequence(implicitLittle, 0x00081140, 'undefined', item(implicitLittle, 'undefined', modality(implicitLittle))),
      after,
    ])
    expect(outline(bytes, explicitLittle)).toEqual([
      '0008,0060 CS 2 = 4354',
      '0008,1140 SQ u [',
      '{ u',
      '0008,0060 CS 2 = 4354',
      '}',
      ']',
      nameLine,
    ])
  })
})

describe('UN', () => {
  const inner = [
    element(implicitLittle, 0x00090010, '', 'ACME'),
    element(implicitLittle, 0x00100010, '', 'A^B '),
    sequence(implicitLittle, 0x00081140, 'defined', item(implicitLittle, 'defined', modality(implicitLittle))),
  ]
  const innerLines = [
    '0009,0010 LO 4 = 41434d45',
    nameLine,
    '0008,1140 SQ 18 [',
    '{ 10',
    '0008,0060 CS 2 = 4354',
    '}',
    ']',
  ]

  it.each([
    ['Little', explicitLittle],
    ['Big', explicitBig],
  ])(
    'case 114: of undefined length in Explicit VR %s Endian holds items in Implicit VR Little Endian',
    (_, encoding) => {
      const items = [item(implicitLittle, 'undefined', ...inner), item(implicitLittle, 'defined', ...inner)]
      const bytes = Buffer.concat([unknownSequence(encoding, 0x00091002, ...items), name(encoding)])
      expect(outline(bytes, encoding)).toEqual([
        '0009,1002 SQ u [',
        '{ u',
        ...innerLines,
        '}',
        '{ 50',
        ...innerLines,
        '}',
        ']',
        nameLine,
      ])
    },
  )

  it('of undefined length may be within another, and in a sequence of Big Endian', () => {
    const nested = Buffer.concat([
      header(implicitLittle, 0x00091003, '', undefined),
      item(implicitLittle, 'undefined', modality(implicitLittle)),
      sequenceEnd(implicitLittle),
    ])
    const unknown = unknownSequence(explicitBig, 0x00091002, item(implicitLittle, 'undefined', nested))
    const bytes = sequence(
      explicitBig,
      0x00081140,
      'undefined',
      item(explicitBig, 'undefined', unknown, name(explicitBig)),
    )
    expect(outline(bytes, explicitBig)).toEqual([
      '0008,1140 SQ u [',
      '{ u',
      '0009,1002 SQ u [',
      '{ u',
      '0009,1003 SQ u [',
      '{ u',
      '0008,0060 CS 2 = 4354',
      '}',
      ']',
      '}',
      ']',
      nameLine,
      '}',
      ']',
    ])
  })

  it('of defined length is a value, even where the dictionary knows a sequence', () => {
    const content = item(implicitLittle, 'defined', modality(implicitLittle))
    for (const encoding of [explicitLittle, explicitBig]) {
      expect(outline(element(encoding, 0x00081140, 'UN', content), encoding)).toEqual([
        `0008,1140 UN 18 = ${content.toString('hex')}`,
      ])
    }
  })

  it('of undefined length in implicit VR is a sequence, that of a private element too', () => {
    const bytes = sequence(
      implicitLittle,
      0x00091002,
      'undefined',
      item(implicitLittle, 'undefined', modality(implicitLittle)),
    )
    expect(outline(bytes, implicitLittle)).toEqual(['0009,1002 SQ u [', '{ u', '0008,0060 CS 2 = 4354', '}', ']'])
  })
})

describe('an attribute of US or SS in implicit VR', () => {
  const representation = (value: number, encoding = implicitLittle): Buffer =>
    element(encoding, 0x00280103, 'US', Buffer.of(value, 0))
  const smallest = element(implicitLittle, 0x00280106, '', '\xff\xff')
  const vrs = (...parts: Buffer[]): string[] =>
    read(Buffer.concat(parts), implicitLittle).flatMap((token) =>
      token.kind === 'element' && token.header.tag === 0x00280106 ? [token.header.vr] : [],
    )
  const nested = (...content: Buffer[]): Buffer =>
    sequence(implicitLittle, 0x00283110, 'undefined', item(implicitLittle, 'undefined', ...content))

  it('is SS after a Pixel Representation of 1, else US', () => {
    expect(vrs(representation(1), smallest)).toEqual(['SS'])
    expect(vrs(representation(0), smallest)).toEqual(['US'])
    expect(vrs(smallest)).toEqual(['US'])
  })

  it('is decided by the data set around its item, unless the item has its own', () => {
    expect(vrs(representation(1), smallest, nested(smallest, nested(smallest)))).toEqual(['SS', 'SS', 'SS'])
    expect(vrs(representation(1), nested(representation(0), smallest, nested(smallest)))).toEqual(['US', 'US'])
  })

  it('is not decided by an item beside or within it', () => {
    const items = [
      item(implicitLittle, 'undefined', representation(1), smallest),
      item(implicitLittle, 'defined', smallest),
    ]
    const bytes = [
      sequence(implicitLittle, 0x00283110, 'undefined', ...items),
      sequence(implicitLittle, 0x00283112, 'defined'),
    ]
    expect(vrs(...bytes, element(implicitLittle, 0x00280106, '', '\xff\xff'))).toEqual(['SS', 'US', 'US'])
  })

  it('is decided alike when the bytes come one by one', () => {
    const bytes = Buffer.concat([representation(1), smallest, nested(representation(0), smallest), smallest])
    expect(outline(byteByByte(bytes), implicitLittle)).toEqual(outline(bytes, implicitLittle))
  })

  it('does not matter in explicit VR, nor does a Pixel Representation of another length', () => {
    const bytes = Buffer.concat([representation(1, explicitBig), element(explicitBig, 0x00280106, 'US', '\xff\xff')])
    expect(outline(bytes, explicitBig)).toEqual(['0028,0103 US 2 = 0001', '0028,0106 US 2 = ffff'])
    expect(vrs(element(implicitLittle, 0x00280103, '', '\x01\0\0\0'), smallest)).toEqual(['US'])
  })

  it('in a Big Endian data set with UN of undefined length is decided by the value in its own byte order', () => {
    const unknown = unknownSequence(explicitBig, 0x00291002, item(implicitLittle, 'undefined', smallest))
    expect(outline(Buffer.concat([representation(1, explicitBig), unknown]), explicitBig)[3]).toBe(
      '0028,0106 SS 2 = ffff',
    )
  })
})

describe('an attribute of OB or OW in implicit VR', () => {
  const waveform = (bits: number): Buffer =>
    sequence(
      implicitLittle,
      0x54000100,
      'defined',
      item(
        implicitLittle,
        'defined',
        element(implicitLittle, 0x54001004, '', Buffer.of(bits, 0)),
        element(implicitLittle, 0x54001010, '', '\x01\x02'),
      ),
    )

  it('is OW, but waveform data of 8 bits is OB', () => {
    expect(outline(waveform(8), implicitLittle)).toContain('5400,1010 OB 2 = 0102')
    expect(outline(waveform(16), implicitLittle)).toContain('5400,1010 OW 2 = 0102')
    expect(outline(element(implicitLittle, 0x54001010, '', '\x01\x02'), implicitLittle)).toEqual([
      '5400,1010 OW 2 = 0102',
    ])
  })
})

describe.each(encodings)('a sequence in $name', (encoding) => {
  const lengths = ['defined', 'undefined'] as const
  const combinations = lengths.flatMap((outer) => lengths.map((inner) => [outer, inner] as const))

  it.each(combinations)('of %s length with items of %s length', (outer, inner) => {
    const content = [modality(encoding), sequence(encoding, 0x00081140, outer, item(encoding, inner, name(encoding)))]
    const bytes = Buffer.concat([
      sequence(encoding, 0x00081115, outer, item(encoding, inner, ...content), item(encoding, inner)),
      name(encoding),
    ])
    const kinds = read(bytes, encoding).map((token) => token.kind)
    expect(kinds).toEqual([
      ...['sequence-start', 'item-start', 'element', 'value'],
      ...['sequence-start', 'item-start', 'element', 'value', 'item-end', 'sequence-end'],
      ...['item-end', 'item-start', 'item-end', 'sequence-end', 'element', 'value'],
    ])
    expect(read(byteByByte(bytes), encoding)).toEqual(read(bytes, encoding))
  })

  it.each(lengths)('of %s length without items', (length) => {
    const bytes = Buffer.concat([sequence(encoding, 0x00081115, length), name(encoding)])
    expect(outline(bytes, encoding)).toEqual([`0008,1115 SQ ${length === 'defined' ? '0' : 'u'} [`, ']', nameLine])
  })
})

describe('encapsulated Pixel Data', () => {
  const fragments = [Buffer.alloc(0), hex('ffd8ffe0'), hex('0102')]
  const lines = ['7fe0,0010 OB u <', '| 0 0', '| 1 4 = ffd8ffe0', '| 2 2 = 0102', ']']

  it('is a run of fragments, the Basic Offset Table being number 0', () => {
    const bytes = Buffer.concat([
      pixelSequence(explicitLittle, 'OB', ...fragments),
      element(explicitLittle, 0xfffcfffc, 'OB', '\0\0'),
    ])
    expect(outline(bytes, explicitLittle)).toEqual([...lines, 'fffc,fffc OB 2 = 0000'])
    expect(outline(byteByByte(bytes), explicitLittle)).toEqual([...lines, 'fffc,fffc OB 2 = 0000'])
  })

  it('numbers the fragments of each element from 0', () => {
    const icon = item(explicitLittle, 'undefined', pixelSequence(explicitLittle, 'OB', ...fragments))
    const bytes = [
      sequence(explicitLittle, 0x00880200, 'undefined', icon),
      pixelSequence(explicitLittle, 'OB', ...fragments),
    ]
    expect(outline(Buffer.concat(bytes), explicitLittle)).toEqual([
      '0088,0200 SQ u [',
      '{ u',
      ...lines,
      '}',
      ']',
      ...lines,
    ])
  })

  it('may say OW, and may come without a VR', () => {
    expect(outline(pixelSequence(explicitLittle, 'OW', ...fragments), explicitLittle)[0]).toBe('7fe0,0010 OW u <')
    expect(outline(pixelSequence(implicitLittle, '', ...fragments), explicitLittle)).toEqual(lines)
  })

  it('has its items in the byte order of the data set', () => {
    expect(outline(pixelSequence(explicitBig, 'OB', ...fragments), explicitBig)).toEqual(lines)
  })

  it('is native in an item of defined length though the syntax is encapsulated', () => {
    const icon = item(explicitLittle, 'undefined', element(explicitLittle, 0x7fe00010, 'OB', '\x01\x02'))
    expect(outline(sequence(explicitLittle, 0x00880200, 'undefined', icon), explicitLittle)[2]).toBe(
      '7fe0,0010 OB 2 = 0102',
    )
  })
})

describe('the end of the data', () => {
  const sample = (encoding: Encoding): Buffer[] => [
    modality(encoding),
    sequence(
      encoding,
      0x00081115,
      'undefined',
      item(
        encoding,
        'undefined',
        name(encoding),
        sequence(encoding, 0x00081140, 'defined', item(encoding, 'defined', modality(encoding))),
      ),
      item(encoding, 'defined'),
    ),
    element(encoding, 0x00091001, 'UN', 'private '),
    name(encoding),
    element(encoding, 0x00280103, 'US', '\x01\0'),
    element(encoding, 0x00280106, 'US', '\x01\0'),
    element(encoding, 0x7fe00010, 'OW', 'pixels'),
  ]

  /**
   * Cut between two elements of the data set itself, nothing tells that more was to come. Nor does a single byte 00
   * behind them: in Big Endian the next tag begins with it, but so looks a lone pad, which is accepted.
   */
  it.each(encodings)('in $name is an error anywhere but between two elements of the data set itself', (encoding) => {
    const parts = sample(encoding)
    const whole = Buffer.concat(parts)
    const clean = new Set([0, ...parts.map((_, index) => Buffer.concat(parts.slice(0, index + 1)).length)])
    for (let length = 0; length <= whole.length; length++) {
      const atLonePad = clean.has(length - 1) && whole[length - 1] === 0
      const cut = whole.subarray(0, length)
      for (const chunks of [[cut], byteByByte(cut)]) {
        if (clean.has(length) || atLonePad) read(chunks, encoding)
        else expect(failure(chunks, encoding), `cut to ${length}`).toBeInstanceOf(MalformedDataSetError)
      }
    }
  })

  it('in encapsulated Pixel Data is an error at every byte', () => {
    const whole = pixelSequence(explicitLittle, 'OB', Buffer.alloc(0), hex('ffd8ffd9'), hex('0000'))
    for (let length = 1; length < whole.length; length++) failure(whole.subarray(0, length), explicitLittle)
    expect(failure(whole.subarray(0, -1), explicitLittle).message).toContain('The data ends inside a sequence')
  })

  it('in a UN of undefined length is an error at every byte', () => {
    const whole = unknownSequence(explicitBig, 0x00091002, item(implicitLittle, 'undefined', modality(implicitLittle)))
    // The first byte, 00, may be a pad.
    for (let length = 2; length < whole.length; length++) failure(whole.subarray(0, length), explicitBig)
  })

  it('is told by what and where', () => {
    const cut = Buffer.concat([modality(explicitLittle), name(explicitLittle)])
    expect(failure(cut.subarray(0, -3), explicitLittle)).toMatchObject({
      name: 'MalformedDataSetError',
      code: 'MALFORMED_DATA_SET',
      message: 'The data ends 3 bytes before the end of a value, byte 19 of the data set',
    })
    expect(failure(cut.subarray(0, 13), explicitLittle)).toMatchObject({ offset: 10 })
  })

  it('of no data at all is a data set without elements', () => {
    expect(read([], explicitLittle)).toEqual([])
  })
})

describe('what follows the last element', () => {
  it.each([1, 2, 7, 8, 9, 512, 70_000])('may be %i bytes of zeros', (count) => {
    for (const encoding of encodings) {
      const bytes = Buffer.concat([name(encoding), Buffer.alloc(count)])
      expect(outline(bytes, encoding)).toEqual([nameLine])
      if (count < 1000) expect(outline(byteByByte(bytes), encoding)).toEqual([nameLine])
    }
  })

  it('is Data Set Trailing Padding, told as an element', () => {
    const bytes = Buffer.concat([
      name(explicitLittle),
      element(explicitLittle, 0xfffcfffc, 'OB', '\0\0\0\0'),
      Buffer.alloc(100),
    ])
    expect(outline(bytes, explicitLittle)).toEqual([nameLine, 'fffc,fffc OB 4 = 00000000'])
  })

  it('is an error when zeros do not go on', () => {
    const zeros = Buffer.concat([name(explicitLittle), Buffer.alloc(20)])
    expect(failure([zeros, name(explicitLittle)], explicitLittle).message).toContain(
      'Data follows the zero-filled tail',
    )
    for (const pieces of [[zeros, Buffer.of(0, 1)], [Buffer.concat([zeros, Buffer.of(0, 1)])]]) {
      expect(failure(pieces, explicitLittle).offset).toBe(zeros.length + 1)
    }
    expect(failure([name(explicitLittle), Buffer.of(0, 0, 1)], explicitLittle).message).toContain(
      'inside an element header',
    )
  })

  it.each([0, 3, 7])(
    'is an error with the piece that has it, not at the end: %i zeros in front of the cut',
    (zeros) => {
      const reader = new ElementReader(explicitLittle)
      const read = (piece: Buffer): unknown[] => {
        reader.push(piece)
        const tokens = []
        for (let token = reader.next(); token; token = reader.next()) tokens.push(token)
        return tokens
      }
      read(Buffer.concat([name(explicitLittle), Buffer.alloc(zeros)]))
      expect(() => read(Buffer.concat([Buffer.alloc(300), Buffer.of(1)]))).toThrow('Data follows the zero-filled tail')
    },
  )

  it('is not a tail within an item', () => {
    const bytes = sequence(
      explicitLittle,
      0x00081115,
      'undefined',
      item(explicitLittle, 'undefined', name(explicitLittle), Buffer.alloc(64)),
    )
    expect(() => read(bytes.subarray(0, -40), explicitLittle)).toThrow(MalformedDataSetError)
  })

  it('leaves a group length at the start of a command set an element', () => {
    const bytes = Buffer.concat([
      element(implicitLittle, 0, '', '\x0a\0\0\0'),
      element(implicitLittle, 0x00000100, '', '\x30\0'),
    ])
    expect(outline(bytes, implicitLittle)).toEqual(['0000,0000 UL 4 = 0a000000', '0000,0100 US 2 = 3000'])
  })
})

describe('a structure that is wrong', () => {
  const e = explicitLittle
  const ITEM = 0xfffee000
  const wrong: [string, Buffer[], string][] = [
    ['an item outside a sequence', [item(e, 'undefined')], 'An item or delimiter out of place'],
    ['a sequence delimiter outside a sequence', [modality(e), sequenceEnd(e)], 'An item or delimiter out of place'],
    ['an item delimiter outside an item', [modality(e), itemEnd(e)], 'A delimiter where no item is open'],
    [
      'an item delimiter in an item of defined length',
      [sequence(e, 0x00081115, 'undefined', item(e, 'defined', modality(e), itemEnd(e)))],
      'A delimiter where no item is open',
    ],
    [
      'a sequence delimiter in a sequence of defined length',
      [sequence(e, 0x00081115, 'defined', item(e, 'undefined'), sequenceEnd(e))],
      'A sequence of defined length has a delimiter',
    ],
    [
      'a sequence delimiter in an item',
      [sequence(e, 0x00081115, 'undefined', delimiter(e, ITEM, undefined), sequenceEnd(e))],
      'An item or delimiter out of place',
    ],
    [
      'an element between items',
      [sequence(e, 0x00081115, 'undefined', modality(e))],
      'Neither an item nor the end of the sequence',
    ],
    [
      'an element between fragments',
      [pixelSequence(e, 'OB').subarray(0, -8), modality(e)],
      'Neither a fragment nor the end of the fragments',
    ],
    [
      'a fragment of undefined length',
      [pixelSequence(e, 'OB').subarray(0, -8), delimiter(e, ITEM, undefined)],
      'A fragment has undefined length',
    ],
    ['undefined length of a VR that has none', [header(e, 0x00091001, 'UT', undefined)], 'Undefined length with VR UT'],
    [
      'an item longer than its sequence',
      [header(e, 0x00081115, 'SQ', 8), delimiter(e, ITEM, 10), modality(e)],
      'A length reaches beyond the end of what holds it',
    ],
    [
      'an element longer than its item',
      [header(e, 0x00081115, 'SQ', 18), delimiter(e, ITEM, 10), header(e, 0x00080060, 'CS', 4), Buffer.from('CT  ')],
      'A length reaches beyond the end of what holds it',
    ],
    [
      'a sequence longer than its item',
      [header(e, 0x00081115, 'SQ', 20), delimiter(e, ITEM, 12), header(e, 0x00081140, 'SQ', 8), item(e, 'defined')],
      'A length reaches beyond the end of what holds it',
    ],
    [
      'an item of undefined length that ends behind its sequence',
      [header(e, 0x00081115, 'SQ', 8), item(e, 'undefined', modality(e)), name(e)],
      'An element reaches beyond the end of its item',
    ],
    [
      'a sequence of undefined length that ends behind its item',
      [
        header(e, 0x00081115, 'SQ', undefined),
        delimiter(e, ITEM, 12),
        sequence(e, 0x00081140, 'undefined', item(e, 'defined')),
      ],
      'An element reaches beyond the end of its item',
    ],
    [
      'an item too short for a header',
      [header(e, 0x00081115, 'SQ', undefined), item(e, 'defined', Buffer.of(8, 0, 0x60, 0)), sequenceEnd(e)],
      '',
    ],
  ]

  it.each(wrong)('is an error: %s', (_, parts, message) => {
    const bytes = Buffer.concat(parts)
    const whole = failure(bytes, e)
    expect(whole.message).toContain(message)
    expect(failure(byteByByte(bytes), e)).toMatchObject({
      message: whole.message,
      offset: whole.offset,
      tag: whole.tag,
    })
  })

  it('names the tag', () => {
    const error = failure(Buffer.concat([modality(e), header(e, 0x00100010, 'SQ', 4), delimiter(e, ITEM, 10)]), e)
    expect(error).toMatchObject({ tag: ITEM })
    expect(failure(header(e, 0x00401010, 'UT', undefined), e)).toMatchObject({ offset: 12, tag: 0x00401010 })
    expect(failure(header(e, 0x00400555, 'UT', undefined), e).message).toBe(
      'Undefined length with VR UT at (0040,0555) AcquisitionContextSequence, byte 12 of the data set',
    )
  })
})

describe('limits', () => {
  const nested = (depth: number): Buffer => {
    const open = Buffer.concat([
      header(explicitLittle, 0x00081140, 'SQ', undefined),
      delimiter(explicitLittle, 0xfffee000, undefined),
    ])
    const close = Buffer.concat([itemEnd(explicitLittle), sequenceEnd(explicitLittle)])
    const levels = Array.from({ length: depth })
    return Buffer.concat([...levels.map(() => open), modality(explicitLittle), ...levels.map(() => close)])
  }

  it(`are ${MAX_NESTING} sequences within each other`, () => {
    expect(read(nested(MAX_NESTING), explicitLittle)).toHaveLength(4 * MAX_NESTING + 2)
    expect(failure(nested(MAX_NESTING + 1), explicitLittle).message).toContain('Sequences are nested deeper than 64')
  })

  const empty = element(explicitLittle, 0x00080060, 'CS')
  const counted: [string, Buffer, Buffer, Buffer, number][] = [
    ['elements', Buffer.alloc(0), empty, Buffer.alloc(0), MAX_ELEMENTS],
    [
      'items',
      header(explicitLittle, 0x00081140, 'SQ', undefined),
      item(explicitLittle, 'defined'),
      sequenceEnd(explicitLittle),
      MAX_ELEMENTS - 1,
    ],
    [
      'fragments',
      pixelSequence(explicitLittle, 'OB').subarray(0, -8),
      item(explicitLittle, 'defined'),
      sequenceEnd(explicitLittle),
      MAX_ELEMENTS - 1,
    ],
  ]

  it.each(counted)(`are ${MAX_ELEMENTS} %s`, (_, before, one, after, allowed) => {
    const walk = (count: number): boolean => {
      const reader = new ElementReader(explicitLittle)
      reader.push(Buffer.concat([before, Buffer.alloc(one.length * count, one), after]))
      reader.end()
      while (reader.next());
      return reader.done
    }
    expect(walk(allowed)).toBe(true)
    expect(() => walk(allowed + 1)).toThrow(`More than ${MAX_ELEMENTS} elements`)
  })
})

describe('chunks', () => {
  const cutUp = fc.tuple(fc.oneof(randomExplicit, randomEncapsulated), cuts(400))

  it.each([EXPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_VR_BIG_ENDIAN])(
    'of any size give the same tokens in $name',
    (syntax) => {
      fc.assert(
        fc.property(cutUp, ([elements, offsets]) => {
          const bytes = encodeDataset(datasetOf(elements), syntax)
          const tokens = read(bytes, syntax)
          expect(read(cutAt(bytes, offsets), syntax)).toEqual(tokens)
          expect(read(byteByByte(bytes), syntax)).toEqual(tokens)
        }),
        { numRuns: 60 },
      )
    },
  )

  it('of garbage give an error or an end, the same in any size, and never anything else', () => {
    const garbage = fc.tuple(fc.uint8Array({ maxLength: 120 }), cuts(120))
    const outcome = (chunks: readonly Bytes[], encoding: Encoding): unknown => {
      try {
        return read(chunks, encoding)
      } catch (error) {
        if (error instanceof MalformedDataSetError) return 'malformed'
        throw error
      }
    }
    fc.assert(
      fc.property(garbage, fc.constantFrom(...encodings), ([bytes, offsets], encoding) => {
        const whole = outcome([bytes], encoding)
        expect(outcome(cutAt(bytes, offsets), encoding)).toEqual(whole)
        expect(outcome(byteByByte(bytes), encoding)).toEqual(whole)
      }),
      { numRuns: 300 },
    )
  })

  it('of a data set with one byte changed end in an error or an end as well', () => {
    const damaged = fc.tuple(randomEncapsulated, fc.nat(), fc.nat(255))
    fc.assert(
      fc.property(damaged, ([elements, at, byte]) => {
        const bytes = Buffer.from(encodeDataset(datasetOf(elements), EXPLICIT_VR_LITTLE_ENDIAN))
        if (bytes.length > 0) bytes[at % bytes.length] = byte
        try {
          read(bytes, explicitLittle)
        } catch (error) {
          expect(error).toBeInstanceOf(MalformedDataSetError)
        }
      }),
      { numRuns: 300 },
    )
  })
})

describe('a chunk that ends within a header', () => {
  it('has what follows read from the next chunk itself, not from a copy of it', () => {
    const bytes = Buffer.concat([
      element(explicitLittle, 0x00080060, 'CS', 'CT'),
      element(explicitLittle, 0x7fe00010, 'OW', Buffer.alloc(200_000, 7)),
    ])
    for (let cut = 11; cut < 22; cut++) {
      const [head, rest] = [Buffer.from(bytes.subarray(0, cut)), Buffer.from(bytes.subarray(cut))]
      const reader = new ElementReader(EXPLICIT_VR_LITTLE_ENDIAN)
      const pieces: Bytes[] = []
      for (const chunk of [head, rest]) {
        reader.push(chunk)
        for (let token = reader.next(); token; token = reader.next())
          if (token.kind === 'value') pieces.push(token.bytes)
      }
      const pixels = pieces.slice(1)
      expect(pixels.map(({ buffer }) => buffer)).toEqual([rest.buffer])
      expect(Buffer.concat(pixels)).toHaveLength(200_000)
      expect(reader.offset).toBe(bytes.length)
    }
  })
})

describe('a value of over 64 KiB that was written as UN since its VR has no room for the length', () => {
  const value = Buffer.alloc(70_000, '1.25\\')
  it('has the VR of the dictionary', () => {
    expect(outline(element(explicitLittle, 0x30060050, 'UN', value), explicitLittle)[0]).toMatch(
      /^3006,0050 DS 70000 = /,
    )
  })

  it('has the VR of the dictionary where that has room too, and stays UN where it knows none', () => {
    expect(outline(element(explicitLittle, 0x00091001, 'UN', value), explicitLittle)[0]).toMatch(/^0009,1001 UN/)
    expect(outline(element(explicitLittle, 0x00420011, 'UN', value), explicitLittle)[0]!.slice(0, 12)).toBe(
      '0042,0011 OB',
    )
  })

  it('is Little Endian in a Big Endian data set', () => {
    const reader = new ElementReader(EXPLICIT_VR_BIG_ENDIAN)
    reader.push(element(explicitBig, 0x00280002, 'UN', Buffer.alloc(70_000)))
    expect(reader.next()).toMatchObject({ header: { vr: 'US', length: 70_000 }, bigEndian: false })
  })
})
