import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { describe, expect, it } from 'vitest'

const file = (path: string): string => fileURLToPath(new URL(`../../../${path}`, import.meta.url))

/** What a process without anything of its user's says, and how many pixels have text on them. */
async function annotatedIn(env: Record<string, string>): Promise<{ stdout: string; stderr: string }> {
  const script = `
    import sharp from 'sharp'
    import { annotationOverlay } from '${file('src/imaging/picture/annotate.ts')}'
    const overlay = await annotationOverlay({ topLeft: ['Doe^Jane', 'P-1'], bottomLeft: ['CT'.repeat(5_000)] }, { width: 400, height: 300 }, 20_000)
    const pixels = await sharp(overlay).raw().toBuffer()
    console.log(pixels.filter((value, at) => at % 4 === 0 && value > 128).length)
    console.log(process.env.FONTCONFIG_FILE ?? 'the configuration of the system')`
  const args = ['--input-type=module', '--eval', script]
  return promisify(execFile)(process.execPath, args, { env, cwd: file('.') })
}

/** Of letters, each drawn alone in a process that knows no fonts but those of Dimsegate: whether it is a box. */
async function boxesAmong(letters: readonly string[]): Promise<string[]> {
  const script = `
    import sharp from 'sharp'
    import { annotationOverlay } from '${file('src/imaging/picture/annotate.ts')}'
    const boxes = []
    for (const letter of ${JSON.stringify(letters)}) {
      const overlay = await annotationOverlay({ topLeft: [letter], bottomLeft: [] }, { width: 200, height: 900 }, 20_000)
      const { data, info } = await sharp(overlay).raw().toBuffer({ resolveWithObject: true })
      const lit = []
      for (let at = 0; at < data.length; at += 4) {
        const [column, row] = [(at / 4) % info.width, Math.floor(at / 4 / info.width)]
        if (data[at] > 100) lit.push({ column, row })
      }
      const edge = (key, pick) => pick(...lit.map((one) => one[key]))
      const [left, right] = [edge('column', Math.min), edge('column', Math.max)]
      const height = edge('row', Math.max) - edge('row', Math.min) + 1
      const along = (column) => lit.filter((one) => one.column === column).length / height
      if (along(left) > 0.9 && along(right) > 0.9) boxes.push(letter)
    }
    console.log(JSON.stringify(boxes))`
  const args = ['--input-type=module', '--eval', script]
  const env = { FONTCONFIG_FILE: file('fonts/fonts.conf') }
  const { stdout } = await promisify(execFile)(process.execPath, args, { env, cwd: file('.') })
  return JSON.parse(stdout) as string[]
}

describe('text on a picture', () => {
  it('is no boxes, in any script that a character set of DICOM is for', async () => {
    const letters = 'A é Ł ğ ễ Ω Ж ї µ ² 王 張 伟 灣 龔 镕 山 髙 﨑 や タ ﾔ 김 뷁 ก ق ש अ'.split(' ')
    // U+0378 is no character: that is what a box looks like.
    expect(await boxesAmong([...letters, '\u0378'])).toEqual(['\u0378'])
  })

  it('needs no fonts, no configuration of them and no place to write: it is drawn without a complaint', async () => {
    const { stdout, stderr } = await annotatedIn({ FONTCONFIG_FILE: file('fonts/fonts.conf') })
    expect(stderr).toBe('')
    const [lit, configuration] = stdout.trim().split('\n')
    expect(Number(lit)).toBeGreaterThan(100)
    expect(configuration).toBe(file('fonts/fonts.conf'))
  })

  it('goes by what the environment says', async () => {
    const { stderr } = await annotatedIn({ FONTCONFIG_FILE: '/nowhere/fonts.conf' })
    expect(stderr).toContain('/nowhere/fonts.conf')
  })
})
