import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { EVENTS } from './events.ts'

/** Whose keys are values. */
const COUNTS = 'study.instances'

function fieldsOf(value: object, path = ''): string[] {
  return Object.entries(value).flatMap(([key, one]: [string, unknown]) => {
    const name = path + key
    return typeof one === 'object' && one !== null && name !== COUNTS ? fieldsOf(one, `${name}.`) : [name]
  })
}

it('docs/audit.md tells of every field that a line of the file may have, and of no other', async () => {
  const text = await readFile(join(import.meta.dirname, '../../docs/audit.md'), 'utf8')
  const table = text.slice(text.indexOf('## The lines of the file'))
  const told = [...table.matchAll(/^\| `([a-zA-Z.]+)`/gm)].map(([, name]) => name)
  expect(told.toSorted()).toEqual([...new Set(EVENTS.flatMap((event) => fieldsOf(event)))].toSorted())
})
