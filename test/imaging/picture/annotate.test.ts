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

describe('text on a picture', () => {
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
