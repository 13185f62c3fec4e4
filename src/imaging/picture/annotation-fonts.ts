import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import sharp from 'sharp'

/** Of the fonts that come with Dimsegate: fonts/, see docs/decisions/0017. */
const fontFile = (name: string): string => fileURLToPath(new URL(`../../../fonts/${name}`, import.meta.url))

/** The font of annotations; letters that it lacks are taken from the others, and from the fonts of the system. */
export const FONT_FAMILY = 'DejaVu Sans'
const FONT_FILES = ['DejaVuSans.ttf', 'wqy-microhei.ttc', 'NotoSansThai.ttf', 'NotoSansDevanagari.ttf'].map(fontFile)

/** Where systems say which fonts they have. */
const SYSTEM_FONTS = '/etc/fonts/fonts.conf'
// Without any, or without a place to write what it found, fontconfig complains of each picture on standard error.
if (process.env['FONTCONFIG_FILE'] === undefined && !existsSync(SYSTEM_FONTS)) {
  process.env['FONTCONFIG_FILE'] = fontFile('fonts.conf')
}

let loading: Promise<void> | undefined

/** Lets text be drawn in the fonts of Dimsegate, from now on. @throws where a file of a font cannot be read */
export function loadAnnotationFonts(): Promise<void> {
  loading ??= load().catch((error: unknown) => {
    loading = undefined
    throw error
  })
  return loading
}

/** libvips keeps a font that any text was drawn in for all texts after that. */
async function load(): Promise<void> {
  for (const fontfile of FONT_FILES)
    await sharp({ text: { text: 'A', fontfile, dpi: 72 } })
      .raw()
      .toBuffer()
}
