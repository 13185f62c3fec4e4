import { describe, expect, it } from 'vitest'
import { certificateFor } from '../support/certificate.ts'
import { instanceFile } from '../support/dicom-files.ts'
import { failOnLeaks } from '../support/leaks.ts'
import { freePort } from '../support/ports.ts'
import { published } from '../support/published.ts'
import { heldBy, sendFiles, startRouting } from '../support/routing.ts'
import { startGatewayFor } from '../support/gateway.ts'
import { DemoArchive } from '../../src/demo/demo-archive.ts'

failOnLeaks()
const deliveries = published('dimsegate:delivery')

const theirs = certificateFor('localhost')
const ours = certificateFor('localhost')
const stranger = certificateFor('localhost')

describe.skipIf(!theirs || !ours || !stranger)('a destination that is reached by TLS', () => {
  it.each([
    ['gets what it is to get, from who has the certificate that it asks for', () => theirs, 0, 'stored'],
    ['gets nothing where it has another certificate than it should', () => stranger, 0xa700, 'failed'],
  ])('%s', async (_, known, status, result) => {
    await using archive = await DemoArchive.start({ aeTitle: 'FAR' })
    const port = await freePort()
    await using next = await startGatewayFor(
      [{ aeTitle: archive.aeTitle, host: '127.0.0.1', port: archive.port }],
      {},
      {},
      {
        dimse: { host: '127.0.0.1', port, aeTitle: 'NEXT', tls: { ...theirs!.files, ca: ours!.files.cert } },
        devices: [{ aeTitle: 'DIMSEGATE' }],
        routes: [{ name: 'all', to: ['far'] }],
      },
    )
    await using setup = await startRouting({
      archives: { near: {} },
      destinations: [
        {
          ...{ type: 'dicom', name: 'next', aeTitle: 'NEXT', host: 'localhost', port },
          tls: { ...ours!.files, ca: known()!.files.cert },
        },
      ],
      routes: [{ name: 'both', to: ['near', 'next'] }],
    })
    expect(await sendFiles(setup.port, [instanceFile({ instance: '1.1' })])).toEqual([status])
    const isThere = status === 0
    expect([...(await heldBy(archive)).keys()]).toEqual(isThere ? ['1.1'] : [])
    expect(deliveries.find(({ destination }) => destination === 'next')?.result).toBe(result)
    expect(next.archives).toHaveLength(1)
  })
})
