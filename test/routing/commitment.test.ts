import { describe, expect, it } from 'vitest'
import { instanceFile, CT } from '../support/dicom-files.ts'
import { startGatewayFor } from '../support/gateway.ts'
import { freePort } from '../support/ports.ts'
import { sendFiles, startRouting } from '../support/routing.ts'

describe('storage commitment that a device asks for', () => {
  it('is asked of the archive, and what that says is reported to the device', async () => {
    const port = await freePort()
    await using setup = await startRouting({
      archives: { near: {} },
      routes: [{ name: 'all', to: ['near'] }],
      devices: [{ aeTitle: 'CT1', commitment: { archive: 'near', host: '127.0.0.1', port } }],
    })
    expect(await sendFiles(setup.port, [instanceFile({ instance: '1.1' })])).toEqual([0])
    // A device that asks, and takes reports: another gateway, whose archive is ours.
    const archive = { aeTitle: 'DIMSEGATE', host: '127.0.0.1', port: setup.port, callingAeTitle: 'CT1' }
    await using device = await startGatewayFor(
      [archive],
      {},
      {},
      {
        dimse: { aeTitle: 'CT1', host: '127.0.0.1', port, enabled: true },
      },
    )
    const reference = (uid: string): object => ({
      '00081150': { vr: 'UI', Value: [CT] },
      '00081155': { vr: 'UI', Value: [uid] },
    })
    const asked = { '00081199': { vr: 'SQ', Value: [reference('1.1'), reference('9.9')] } }
    const response = await fetch(`${device.url}/commitment-requests/2.25.7`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/dicom+json' },
      body: JSON.stringify(asked),
    })
    const told = (await response.json()) as Record<string, { Value: Record<string, { Value: unknown[] }>[] }>
    expect(told['00081199']!.Value.map((item) => item['00081155']!.Value[0])).toEqual(['1.1'])
    expect(told['00081198']!.Value.map((item) => [item['00081155']!.Value[0], item['00081197']!.Value[0]])).toEqual([
      ['9.9', 0x0112],
    ])
    expect(setup.archives.near.commitments).toBe(1)
  })
})
