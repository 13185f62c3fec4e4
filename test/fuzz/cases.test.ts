import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { judge, LIMITS } from '../../fuzz/judge.ts'
import { targets } from '../../fuzz/targets.ts'

const CASES = join(import.meta.dirname, '../../fuzz/cases')

describe('inputs that once had a finding', () => {
  it('are each of a target', () => {
    const names = targets.map(({ name }) => name)
    expect(namesIn(CASES).filter((folder) => !names.includes(folder))).toEqual([])
  })

  for (const target of targets) {
    const folder = join(CASES, target.name)
    for (const name of namesIn(folder)) {
      it(`${target.name}: ${name}`, async () => {
        expect(await judge(target, readFileSync(join(folder, name)), LIMITS)).toBeUndefined()
      })
    }
  }
})

function namesIn(folder: string): string[] {
  return existsSync(folder) ? readdirSync(folder) : []
}
