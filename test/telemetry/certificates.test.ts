import { channel } from 'node:diagnostics_channel'
import { afterAll, describe, expect, it, vi } from 'vitest'
import { InstanceCache } from '../../src/cache/instance-cache.ts'
import { WARNED_MS } from '../../src/telemetry/certificates.ts'
import { startTelemetry } from '../../src/telemetry/telemetry.ts'
import { renewWhenChanged } from '../../src/pacs/tls-renewal.ts'
import { certificateFor } from '../support/certificate.ts'

const certificate = certificateFor('gateway.test')

afterAll(() => certificate?.[Symbol.dispose]())

/** What a telemetry says while something is done, and its metrics behind it. */
async function told(work: () => unknown): Promise<{ lines: Record<string, unknown>[]; metrics: string }> {
  const lines: Record<string, unknown>[] = []
  const spy = vi.spyOn(process.stdout, 'write').mockImplementation((chunk) => {
    lines.push(JSON.parse(String(chunk)) as Record<string, unknown>)
    return true
  })
  const cache = new InstanceCache({ maxBytes: 0, ttl: 1000 })
  const imaging = { stats: { running: 0, waiting: 0 } }
  const telemetry = startTelemetry({ level: 'info', format: 'json' }, { archives: () => [], cache, imaging })
  try {
    await work()
    return { lines, metrics: (await telemetry.metrics()).text }
  } finally {
    telemetry.stop()
    spy.mockRestore()
  }
}

describe('a certificate', () => {
  it.each([
    ['certificate has ended', -1_000],
    ['certificate ends soon', WARNED_MS - 10_000],
    [undefined, WARNED_MS + 10_000],
  ])('is told of, or not: %s', async (message, milliseconds) => {
    const notAfter = Date.now() + milliseconds
    const { lines, metrics } = await told(() =>
      channel('dimsegate:certificate').publish({ path: 'http.tls', notAfter }),
    )
    expect(lines.map(({ msg }) => msg)).toEqual(message === undefined ? [] : [message])
    expect(metrics).toContain(`dimsegate_certificate_not_after_seconds{path="http.tls"} ${notAfter / 1000}`)
  })

  it.skipIf(!certificate)('is looked at when the service starts, and when it is read anew', async () => {
    const tls = { ...certificate!.files }
    const { lines } = await told(async () => {
      const renewal = renewWhenChanged([{ path: 'http.tls', tls, renew: () => Promise.resolve() }])
      await new Promise((resolve) => setTimeout(resolve, 100))
      await renewal.now()
      renewal.stop()
    })
    // It is good for two days.
    expect(lines.map(({ msg }) => msg)).toEqual([
      'certificate ends soon',
      'certificates read anew',
      'certificate ends soon',
    ])
  })
})
