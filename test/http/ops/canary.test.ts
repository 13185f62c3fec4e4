import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, it, vi } from 'vitest'
import { Attribute } from '../../../src/dicom/attributes.ts'
import type { Dataset } from '../../../src/dicom/dataset.ts'
import { DemoArchive } from '../../../src/demo/demo-archive.ts'
import { newApiKey } from '../../../src/http/auth/api-keys.ts'
import { instanceFile } from '../../support/dicom-files.ts'
import { commandSet, message, STUDY_ROOT_FIND } from '../../support/golden.ts'
import { freePort } from '../../support/ports.ts'
import { startProcess, type RunningProcess } from '../../support/process.ts'
import { RawClient } from '../../support/raw-http.ts'
import { related } from '../../support/related.ts'
import { ScriptedArchive } from '../../support/scripted-archive.ts'

// Patient data goes in by every way there is, and must not come out in logs, metrics or errors (security.md 35).

const CANARY = 'CANARY'
/** Everywhere in the archive. */
const STUDY = '1.2.826.0.1.777.888.999'

let archive: DemoArchive
let scripted: ScriptedArchive
let gateway: RunningProcess
let folder: string
let port: number
let audit: string
/** Keys of who may do everything, and of who may see one patient. */
const [all, one] = [newApiKey(), newApiKey()]
let url: string
/** Bodies of errors. */
const errors: string[] = []

function canaryFile(instance: string, change: (dataset: Dataset) => unknown = () => undefined): Buffer {
  return instanceFile({
    study: STUDY,
    series: `${STUDY}.1`,
    instance: `${STUDY}.1.${instance}`,
    pixelBytes: 60_000,
    change: (dataset) => {
      dataset.set(Attribute.PatientName, `${CANARY}^Name`).set(Attribute.PatientID, `${CANARY}-ID`)
      dataset.set(Attribute.StudyDescription, `${CANARY} description`).set(Attribute.AccessionNumber, `${CANARY}1`)
      change(dataset)
    },
  })
}

beforeAll(async () => {
  archive = await DemoArchive.start({ relational: true })
  for (const number of ['1', '2', '3', '4']) await archive.put(canaryFile(number))
  await archive.put(canaryFile('9', (dataset) => dataset.set(Attribute.PhotometricInterpretation, `${CANARY} 2`)))
  scripted = await ScriptedArchive.start({
    // A failure whose Error Comment names the patient (PS3.7 C.1).
    find: async ({ peer }, { messageId, contextId }) => {
      const fields = { '0002': STUDY_ROOT_FIND, '0100': 0x8020, '0120': messageId, '0800': 0x0101, '0900': 0xc001 }
      await peer.send(message(commandSet({ ...fields, '0902': `${CANARY} is unknown` }), undefined, { contextId }))
    },
  })
  folder = await mkdtemp(join(tmpdir(), 'dimsegate-canary-'))
  port = await freePort()
  audit = join(folder, 'audit.jsonl')
  const config = join(folder, 'config.yaml')
  const settings = {
    http: { host: '127.0.0.1', port, maxBodyBytes: 1_000_000 },
    dimse: { enabled: false },
    archives: [
      {
        ...{ aeTitle: 'DEMO', host: '127.0.0.1', port: archive.port },
        send: { destinations: [{ name: 'nobody', aeTitle: 'NOBODY' }] },
      },
      { aeTitle: 'RUDE', ...scripted.address },
      { aeTitle: 'DOWN', host: '127.0.0.1', port: 1 },
    ],
    // Each retrieve is to meet the archive's faults.
    cache: { maxBytes: 0 },
    log: { level: 'trace', format: 'json' },
    audit: { file: audit },
    auth: {
      keys: [
        { name: 'all', hash: all.hash, scopes: ['search', 'retrieve', 'store', 'send', 'admin'] },
        { name: 'one', hash: one.hash, scopes: ['search', 'retrieve', 'store'], patient: `${CANARY}-ID` },
      ],
    },
  }
  await writeFile(config, JSON.stringify(settings))
  const main = fileURLToPath(new URL('../../../src/main.ts', import.meta.url))
  gateway = await startProcess(process.execPath, { args: [main, 'serve', '--config', config], ports: [port] })
  url = `http://127.0.0.1:${port}/dicomweb`
})

afterAll(async () => {
  await gateway.stop()
  await archive[Symbol.asyncDispose]()
  await scripted[Symbol.asyncDispose]()
  await rm(folder, { recursive: true, force: true })
})

async function ask(path: string, init: RequestInit = {}, { key }: { readonly key: string } = all): Promise<number> {
  const headers = new Headers(init.headers)
  headers.set('Authorization', `Bearer ${key}`)
  const response = await fetch(url + path, { ...init, headers }).catch(() => undefined)
  const text = await response?.text().catch(() => '')
  if (response && response.status >= 400) errors.push(text ?? '')
  return response?.status ?? 0
}

async function send(
  path: string,
  parts: readonly Buffer[],
  options: Parameters<typeof related>[1] = {},
): Promise<number> {
  const { type, body } = related(parts, options)
  return ask(path, { method: 'POST', body: new Uint8Array(body), headers: { 'Content-Type': type } })
}

it('a patient is in no log, no metric and no error, whatever happens to the requests about them', async () => {
  // Searches, found and failed.
  const keys = [
    `PatientName=${CANARY}*`,
    `00100020=${CANARY}-ID`,
    `${CANARY}=1`,
    `PatientID.${CANARY}=1`,
    `includefield=${CANARY}`,
    `PatientName=${CANARY}%E5%B1%B1`,
  ]
  const refused = [
    `StudyDate=${CANARY}`,
    `StudyTime=${CANARY}`,
    `StudyInstanceUID=${CANARY}*`,
    `Rows=${CANARY}`,
    `limit=${CANARY}`,
    `fuzzymatching=${CANARY}`,
    `PatientName=${CANARY}&PatientName=${CANARY}`,
    `PatientName=${CANARY}%00`,
    `PatientID.StudyID=${CANARY}`,
    `PixelData=${CANARY}`,
    `RequestAttributesSequence.ScheduledProcedureStepID=${CANARY}`,
    `accept=${CANARY}`,
    `accept=%22${CANARY}`,
  ]
  for (const query of keys) expect(await ask(`/studies?${query}`), query).toBe(200)
  for (const query of refused) expect([400, 406], query).toContain(await ask(`/studies?${query}`))
  for (const status of [0xa700, 0xa900, 0xc001, 0x0124, 0xfe00]) {
    archive.faults = { findStatus: status }
    expect(await ask(`/studies?PatientName=${CANARY}`)).toBeGreaterThanOrEqual(400)
  }
  archive.faults = { findAbortAfter: 0 }
  expect(await ask(`/studies?PatientName=${CANARY}*`)).toBe(502)
  archive.faults = {}
  expect(await ask(`/aets/RUDE/studies?PatientName=${CANARY}`)).toBe(502)
  expect(await ask(`/aets/DOWN/studies?PatientName=${CANARY}`)).toBe(502)
  expect(await ask(`/studies?PatientName=${CANARY}`, { headers: { accept: CANARY } })).toBe(400)

  // Retrieves, whole, cut and refused.
  expect(await ask(`/studies/${STUDY}`)).toBe(200)
  archive.faults = { abortAfter: 2 }
  await ask(`/studies/${STUDY}`)
  archive.faults = { abortAfter: 0 }
  expect(await ask(`/studies/${STUDY}`)).toBe(502)
  archive.faults = { getFails: () => true, acceptsSyntax: (uid) => !uid.includes('.2.4.') }
  expect(await ask(`/studies/${STUDY}`)).toBe(503)
  archive.faults = {}
  expect(await ask(`/studies/${STUDY}.9`)).toBe(404)
  expect(await ask(`/studies/${STUDY}`, { headers: { accept: 'image/jpeg' } })).toBe(406)
  await using leaving = await RawClient.connect(port)
  await leaving.request('GET', `/dicomweb/studies/${STUDY}`, { Authorization: `Bearer ${all.key}` })
  await leaving.until(({ size }) => size > 0)
  leaving.socket.destroy()

  const strange = `/studies/${STUDY}/series/${STUDY}.1/instances/${STUDY}.1.9`
  for (const path of [
    '/rendered',
    '/thumbnail',
    '/frames/1/rendered',
    '/rendered?annotation=patient&window=1,0,linear',
  ]) {
    expect(await ask(strange + path), path).toBeGreaterThanOrEqual(400)
  }
  for (const query of [`window=${CANARY}`, `viewport=${CANARY}`, `iccprofile=${CANARY}`, `quality=${CANARY}`]) {
    expect(await ask(`${strange}/rendered?${query}`), query).toBe(400)
  }

  // Of who may see one patient, and of who is let in to nothing.
  expect(await ask(`/studies?PatientName=${CANARY}*`, {}, one)).toBe(200)
  expect(await ask(`/studies?PatientID=${CANARY}-ID`, {}, one)).toBe(200)
  expect(await ask(`/studies/${STUDY}/metadata`, {}, one)).toBe(200)
  expect(await ask(`/studies/${STUDY}.9`, {}, one)).toBe(404)
  expect(await ask(`/studies?PatientName=${CANARY}`, {}, { key: `${CANARY}.${CANARY}.${CANARY}` })).toBe(401)
  expect(await ask(`/studies?PatientName=${CANARY}`, {}, { key: `dsg_${CANARY}` })).toBe(401)

  // What is scheduled, performed and committed.
  const model = (path: string, body: unknown, type = 'application/dicom+json'): Promise<number> =>
    ask(path, {
      method: 'POST',
      headers: { 'Content-Type': type },
      body: typeof body === 'string' ? body : JSON.stringify(body),
    })
  const steps = '/modality-performed-procedure-steps'
  const name = { '00100010': { vr: 'PN', Value: [{ Alphabetic: `${CANARY}^Name` }] } }
  const status = (value: string) => ({ '00400252': { vr: 'CS', Value: [value] } })
  expect(await ask(`/modality-scheduled-procedure-steps?PatientName=${CANARY}*`)).toBe(200)
  expect(await ask(`/modality-scheduled-procedure-steps?00400100.00400002=${CANARY}`)).toBe(400)
  expect(await ask(`/aets/RUDE/modality-scheduled-procedure-steps?PatientName=${CANARY}`)).toBe(502)
  expect(await model(`${steps}/1.2.3`, { ...name, ...status('IN PROGRESS') })).toBe(400)
  expect(await model(`${steps}/1.2.3`, { ...name, ...status(CANARY) })).toBe(400)
  expect(await model(`${steps}/1.2.3`, { ...name, '00280010': { vr: 'US', Value: [CANARY] } })).toBe(400)
  expect(await model(`${steps}/1.2.3`, { [CANARY]: {} })).toBe(400)
  expect(await model(`${steps}/1.2.3`, `{"${CANARY}`)).toBe(400)
  expect(await model(`${steps}/1.2.3`, `<${CANARY}>`, 'application/dicom+xml')).toBe(400)
  expect(await model(`${steps}/1.2.3?update`, { ...name, ...status('COMPLETED') })).toBe(404)
  expect(await model('/commitment-requests/1.2.3', name)).toBe(400)

  // What is sent to others, what is described, and what is made an instance.
  const sends = `/studies/${STUDY}/series/send-requests`
  expect(await ask(`${sends}/1.2.3?destination=${CANARY}`, { method: 'POST' })).toBe(400)
  expect(await ask(`${sends}/1.2.3?destination=nobody&PatientName=${CANARY}`, { method: 'POST' })).toBe(400)
  expect(await ask(`${sends}/1.2.3?destination=nobody`, { method: 'POST' })).toBe(502)
  const store = (type: string, body: string, query = ''): Promise<number> =>
    ask(`/studies${query}`, { method: 'POST', headers: { 'Content-Type': type }, body })
  const whose = `?PatientID=${CANARY}-ID&PatientName=${CANARY}%5EName`
  expect(await store('application/pdf', `%PDF-1.4 ${CANARY}`, whose)).toBe(200)
  expect(await store('application/pdf', `<${CANARY}>`, whose)).toBe(400)
  expect(await store('application/pdf', '%PDF-', `?${CANARY}%5EName=1`)).toBe(400)
  expect(await store('application/pdf', '%PDF-', `${whose}&StudyDate=${CANARY}`)).toBe(400)
  expect(await store('application/pdf', '%PDF-', `?accession=${CANARY}`)).toBe(404)
  expect(await store('image/jpeg', CANARY, whose)).toBe(400)
  expect(await store('application/dicom+json', JSON.stringify(name))).toBe(400)
  expect(await store('application/dicom+json', `{"${CANARY}`)).toBe(400)

  // Stores, whole, broken and refused.
  const file = canaryFile('5')
  expect(await send('/studies', [file])).toBe(200)
  expect(await send('/studies', [file, Buffer.from(`${CANARY} garbage`.repeat(50))])).toBe(202)
  expect(await send('/studies', [Buffer.from(`${CANARY} garbage`.repeat(50))])).toBe(400)
  expect(await send('/studies', [file.subarray(0, 2000)])).toBe(409)
  expect(await send('/studies', [file], { closed: false })).toBe(400)
  expect(await send('/studies', [file], { partType: CANARY })).toBe(400)
  expect(await send('/studies', [file], { partType: `application/dicom\r\n${CANARY}` })).toBe(400)
  expect(await send('/studies', [file], { boundary: CANARY })).toBe(200)
  expect(await send('/studies', [file], { contentType: `${CANARY}/${CANARY}` })).toBe(415)
  expect(await send('/studies', [file], { contentType: CANARY })).toBe(400)
  expect(
    await send('/studies', [file], { contentType: `multipart/related; type="application/${CANARY}"; boundary=b` }),
  ).toBe(415)
  expect(await send('/studies/1.2', [file])).toBe(409)
  expect(await send('/aets/DOWN/studies', [file])).toBe(502)
  archive.faults = { storeStatus: () => 0xc001 }
  expect(await send('/studies', [file])).toBe(409)
  archive.faults = {}
  const form = new FormData()
  form.append(CANARY, new Blob([new Uint8Array(file)]), `${CANARY}.dcm`)
  form.append(`${CANARY}-text`, CANARY)
  expect(await ask('/studies', { method: 'POST', body: form })).toBe(200)
  const brokenForm = `--b\r\nContent-Disposition: form-data; name="${CANARY}"; filename="${CANARY}"\r\n${CANARY}`
  expect(
    await ask('/studies', {
      method: 'POST',
      body: brokenForm,
      headers: { 'Content-Type': 'multipart/form-data; boundary=b' },
    }),
  ).toBe(400)

  // Other places that a client fills in.
  await ask('/studies', {
    headers: { 'User-Agent': CANARY, Referer: `http://${CANARY}/`, Cookie: CANARY, Authorization: `Bearer ${CANARY}` },
  })
  // The errors of these name the path that was asked for.
  const authorized = { headers: { Authorization: `Bearer ${all.key}` } }
  await fetch(`${url}/${CANARY}`, authorized)
  await fetch(`${url}/studies/${CANARY}`, authorized)
  await fetch(`${url}/aets/${CANARY}/studies?PatientName=${CANARY}`, authorized)
  await fetch(`${url}/studies`, { method: CANARY, ...authorized }).catch(() => undefined)

  const metrics = await (await fetch(`http://127.0.0.1:${port}/metrics`, authorized)).text()
  const ready = await (await fetch(`http://127.0.0.1:${port}/readyz`)).text()
  const requests = (): number => gateway.log().split('"msg":"request"').length - 1
  await vi.waitFor(() => expect(gateway.log()).toContain('"route":"/readyz"'), { timeout: 5000, interval: 10 })

  // Nothing was lost of the log, and what should be there is.
  expect(gateway.log()).toContain('listening')
  expect(requests()).toBeGreaterThan(50)
  expect(errors.length).toBeGreaterThan(25)
  for (const text of [gateway.log(), metrics, ready]) {
    expect(text).not.toMatch(/canary/i)
    expect(text).not.toContain(Buffer.from(CANARY).toString('base64').slice(0, 7))
    for (const { key, hash } of [all, one]) {
      expect(text).not.toContain(key)
      expect(text).not.toContain(hash)
    }
    // UIDs tell of patients too.
    expect(text).not.toContain(STUDY)
  }
  for (const text of errors) expect(text).not.toMatch(/canary/i)

  // It is where it belongs, without what lets in.
  const trail = await readFile(audit, 'utf8')
  expect(trail).toContain(`"patient":{"id":"${CANARY}-ID"}`)
  expect(trail).toContain(STUDY)
  for (const { key } of [all, one]) expect(trail).not.toContain(key)
})
