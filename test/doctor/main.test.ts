import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { DemoArchive } from '../../src/demo/demo-archive.ts'
import { Attribute } from '../../src/dicom/attributes.ts'
import { dimsegate, type Ended } from '../support/command-line.ts'
import { instanceFile } from '../support/dicom-files.ts'
import { commandSet, message, STUDY_ROOT_FIND } from '../support/golden.ts'
import { freePort } from '../support/ports.ts'
import { ScriptedArchive } from '../support/scripted-archive.ts'

/** In every attribute of the archive's patient, and in its UIDs. */
const CANARY = 'CANARY'
const STUDY = '1.2.826.0.1.777.888.999'

let folder: string
let archive: DemoArchive
let port: number

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'dimsegate-doctor-'))
  port = await freePort()
  archive = await DemoArchive.start({ aeTitle: 'PACS', destinations: { DIMSEGATE: { host: '127.0.0.1', port } } })
  for (const number of ['1', '2']) {
    const file = instanceFile({
      study: STUDY,
      series: `${STUDY}.1`,
      instance: `${STUDY}.1.${number}`,
      change: (dataset) =>
        dataset
          .set(Attribute.PatientName, `${CANARY}^Name`)
          .set(Attribute.PatientID, `${CANARY}-ID`)
          .set(Attribute.StudyDescription, `${CANARY} description`)
          .set(Attribute.AccessionNumber, `${CANARY}1`),
    })
    await archive.put(file)
  }
})

afterAll(async () => {
  await archive[Symbol.asyncDispose]()
  await rm(folder, { recursive: true, force: true })
})

/** A configuration file with these archives. */
async function configured(archives: readonly object[]): Promise<string> {
  const path = join(folder, 'config.json')
  await writeFile(path, JSON.stringify({ archives, dimse: { port } }))
  return path
}

const main = () => ({ aeTitle: 'PACS', host: '127.0.0.1', port: archive.port, maxAssociations: 2 })

function doctor(args: readonly string[], interruptAfter?: RegExp): Promise<Ended> {
  return dimsegate(['doctor', ...args], interruptAfter && { interruptAfter })
}

test('an archive that is well: exit code 0, and nothing of its patients', async () => {
  const { code, stdout, stderr } = await doctor(['--config', await configured([main()])])
  expect(stderr).toBe('')
  expect(code).toBe(0)
  expect(stdout).toContain(`PACS (pacs) at 127.0.0.1:${archive.port}, called as DIMSEGATE from 127.0.0.1`)
  expect(stdout).toContain('[GET_OK]')
  expect(stdout).toContain('[MOVE_OK]')
  expect(stdout).toContain('0 problems')
  expect(stdout).not.toMatch(/canary/i)
  expect(stdout).not.toContain(STUDY)
})

test('a problem at one of two: exit code 1, and the other is looked at', async () => {
  const closed = { aeTitle: 'GONE', host: '127.0.0.1', port: await freePort() }
  const { code, stdout } = await doctor(['--json', '--config', await configured([closed, main()])])
  expect(code).toBe(1)
  const report = JSON.parse(stdout) as { level: string; archives: { level: string; findings: { code: string }[] }[] }
  expect(report.level).toBe('problem')
  expect(report.archives.map(({ level }) => level)).toEqual(['problem', 'note'])
  expect(report.archives[0]?.findings.map(({ code: one }) => one)).toEqual(['CONNECT_REFUSED'])
  expect(stdout).not.toMatch(/canary/i)
  expect(stdout).not.toContain(STUDY)
})

test('what an archive says of a failure is not repeated', async () => {
  await using scripted = await ScriptedArchive.start({
    find: async ({ peer }, { messageId, contextId }) => {
      const fields = { '0002': STUDY_ROOT_FIND, '0100': 0x8020, '0120': messageId, '0800': 0x0101, '0900': 0xc001 }
      await peer.send(message(commandSet({ ...fields, '0902': `${CANARY} is unknown` }), undefined, { contextId }))
    },
  })
  const settings = { ...main(), port: scripted.address.port }
  for (const options of [[], ['--json']]) {
    const { code, stdout, stderr } = await doctor([...options, '--config', await configured([settings])])
    expect(code).toBe(1)
    expect(stdout).toContain('C001')
    expect(stdout + stderr).not.toMatch(/canary/i)
  }
})

test('a faulty command line or configuration: exit code 2', async () => {
  expect(await doctor(['--config', join(folder, 'none.yaml')])).toMatchObject({ code: 2, stdout: '' })
  expect(await doctor(['--no-such-option'])).toMatchObject({ code: 2, stdout: '' })
  expect(await doctor(['something', '--config', 'x'])).toMatchObject({ code: 2, stdout: '' })
  expect(await doctor(['--config', await configured([{ aeTitle: 'PACS' }])])).toMatchObject({ code: 2, stdout: '' })
})

test('a faulty command line or configuration of another command: exit code 1, also where it names a doctor', async () => {
  const doctorFile = join(folder, 'doctor')
  expect(await dimsegate(['serve', '--config', 'doctor'])).toMatchObject({ code: 1, stdout: '' })
  expect(await dimsegate(['--config', doctorFile])).toMatchObject({ code: 1, stdout: '' })
  expect(await dimsegate(['serve', 'doctor'])).toMatchObject({ code: 1, stdout: '' })
  expect(await dimsegate(['--no-such-option', 'doctor'])).toMatchObject({ code: 2, stdout: '' })
})

test('Ctrl-C ends it at once', async () => {
  await using silent = await ScriptedArchive.start({ associate: () => 'silent' })
  const settings = { aeTitle: 'SILENT', host: '127.0.0.1', port: silent.address.port }
  const file = await configured([{ ...main(), timeouts: {} }, settings])
  const start = performance.now()
  const { code } = await doctor(['--config', file], /called as DIMSEGATE/)
  expect(code).toBe(130)
  expect(performance.now() - start).toBeLessThan(10_000)
})
