import sharp from 'sharp'
import type { Bytes } from '../../dicom/bytes.ts'
import { FONT_FAMILY, loadAnnotationFonts } from './annotation-fonts.ts'
import { inTime } from './encode-picture.ts'
import type { Placement } from './place-picture.ts'

/** Lines of text in the corners of a picture. */
export interface Annotation {
  readonly topLeft: readonly string[]
  readonly bottomLeft: readonly string[]
}

/** Height of a line of text: its share of the height of the picture, and its bounds in pixels. */
const LINE_SHARE = 1 / 36
const [LEAST, MOST] = [8, 24]
/** Characters of a line: more do not fit into any picture. */
const MAX_CHARACTERS = 1000
/** Distance of text from the edges, in pixels. */
const MARGIN = 4

/**
 * An annotation as an image of a size, with transparency, to be laid over a picture; undefined where there is no text.
 * @throws CodecStoppedError when it takes longer than `timeout` ms
 */
export async function annotationOverlay(
  { topLeft, bottomLeft }: Annotation,
  { width, height }: Pick<Placement, 'width' | 'height'>,
  timeout: number,
): Promise<Bytes | undefined> {
  const room = { width: width - 2 * MARGIN, height: Math.floor(height / 2) - MARGIN }
  if (room.width < LEAST || room.height < LEAST) return undefined
  const size = Math.round(Math.min(Math.max(height * LINE_SHARE, LEAST), MOST))
  const placed: { input: Buffer; left: number; top: number }[] = []
  for (const [lines, isTop] of [
    [topLeft, true],
    [bottomLeft, false],
  ] as const) {
    const drawn = await textImage(lines, size, room)
    if (drawn) placed.push({ input: drawn.input, left: MARGIN, top: isTop ? MARGIN : height - MARGIN - drawn.height })
  }
  if (placed.length === 0) return undefined
  const empty = sharp({ create: { width, height, channels: 4, background: { r: 0, g: 0, b: 0, alpha: 0 } } })
  return inTime(empty.composite(placed).png({ compressionLevel: 1 }), timeout)
}

async function textImage(
  lines: readonly string[],
  size: number,
  room: { readonly width: number; readonly height: number },
): Promise<{ input: Buffer; height: number } | undefined> {
  const text = lines.map((line) => escaped(line.slice(0, MAX_CHARACTERS))).join('\n')
  if (text.trim() === '') return undefined
  // White on black: it is to be read on any picture.
  const markup = `<span foreground="white" background="black">${text}</span>`
  await loadAnnotationFonts()
  const drawn = sharp({ text: { text: markup, font: `${FONT_FAMILY} ${size}`, rgba: true, dpi: 72 } })
  const { data, info } = await drawn.png().toBuffer({ resolveWithObject: true })
  const crop = { left: 0, top: 0, width: Math.min(info.width, room.width), height: Math.min(info.height, room.height) }
  return { input: await sharp(data).extract(crop).png().toBuffer(), height: crop.height }
}

/** A line as Pango's markup, spaces in place of control characters. */
function escaped(line: string): string {
  const entities: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;' }
  return line.replace(/[\x00-\x1f\x7f]/g, ' ').replace(/[&<>]/g, (one) => entities[one]!)
}
