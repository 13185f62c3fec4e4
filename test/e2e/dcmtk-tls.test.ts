import { execFile } from 'node:child_process'
import { copyFile, mkdtemp, rm } from 'node:fs/promises'
import { request } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { parseConfig } from '../../src/config/config.ts'
import { DemoArchive } from '../../src/demo/demo-archive.ts'
import { startGateway, type Gateway } from '../../src/gateway.ts'
import { certificateFor } from '../support/certificate.ts'
import { instanceFile } from '../support/dicom-files.ts'
import { skipWithoutPeers } from '../support/peers.ts'
import { freePort } from '../support/ports.ts'

const HOST = '127.0.0.1'
/** Requests that are under way at a time while certificates change. */
const LOAD = 8
const RENEWALS = 10

const [first, second, caller] = ['gateway.test', 'gateway.test', 'pacs.test'].map((name) => certificateFor(name))

describe.skipIf(skipWithoutPeers() || !first || !second || !caller)('certificates that change', () => {
  let folder: string
  let files: { cert: string; key: string }
  let archive: DemoArchive
  let gateway: Gateway
  let port: number

  const put = async (certificate: NonNullable<typeof first>): Promise<void> => {
    await copyFile(certificate.files.cert, files.cert)
    await copyFile(certificate.files.key, files.key)
  }

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'dimsegate-renewal-'))
    files = { cert: join(folder, 'tls.crt'), key: join(folder, 'tls.key') }
    await put(first!)
    archive = await DemoArchive.start()
    await archive.put(instanceFile())
    port = await freePort()
    gateway = await startGateway(
      parseConfig({
        http: { port: 0, tls: files },
        dimse: { host: HOST, port, enabled: true, tls: { ...files, ca: caller!.files.cert } },
        archives: [{ aeTitle: archive.aeTitle, host: HOST, port: archive.port }],
        log: { level: 'silent' },
      }),
    )
  })

  afterAll(async () => {
    await (gateway as Gateway | undefined)?.[Symbol.asyncDispose]()
    await (archive as DemoArchive | undefined)?.[Symbol.asyncDispose]()
    await rm(folder, { recursive: true, force: true })
    for (const one of [first, second, caller]) one?.[Symbol.dispose]()
  })

  /** DCMTK's echoscu, which trusts one certificate. */
  const echo = (trusted: NonNullable<typeof first>): Promise<unknown> => {
    const { key, cert } = caller!.files
    const tls = ['+tls', key, cert, '+cf', trusted.files.cert]
    return promisify(execFile)('echoscu', [...tls, '-aet', archive.aeTitle, '-aec', 'DIMSEGATE', HOST, String(port)])
  }

  const asked = (): Promise<number> =>
    new Promise((resolve, reject) => {
      const ca = [first!.cert, second!.cert]
      const options = { host: HOST, port: gateway.port, servername: 'gateway.test', ca, agent: false }
      request({ ...options, path: '/dicomweb/studies', headers: { Host: 'localhost' } }, (response) => {
        response.resume()
        response.on('end', () => resolve(response.statusCode!))
        response.on('error', reject)
      })
        .on('error', reject)
        .end()
    })

  test('are taken by the DICOM listener, as DCMTK sees it', async () => {
    await echo(first!)
    await expect(echo(second!)).rejects.toThrow()
    await put(second!)
    await gateway.renewTls()
    await echo(second!)
    await expect(echo(first!)).rejects.toThrow()
  })

  test('cost no request that is under way, nor the next', async () => {
    let isOver = false
    const statuses: number[] = []
    const load = Array.from({ length: LOAD }, async () => {
      while (!isOver) statuses.push(await asked())
    })
    for (let n = 0; n < RENEWALS; n++) {
      await put(n % 2 === 0 ? first! : second!)
      await gateway.renewTls()
      await asked()
    }
    isOver = true
    await Promise.all(load)
    expect(statuses.length).toBeGreaterThan(RENEWALS)
    expect(new Set(statuses)).toEqual(new Set([200]))
  })
})
