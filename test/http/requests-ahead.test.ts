import { describe, expect, it } from 'vitest'
import { MAX_REQUESTS_AHEAD } from '../../src/http/requests-ahead.ts'
import { instanceFile } from '../support/dicom-files.ts'
import { startSetup } from '../support/gateway.ts'
import { failOnLeaks } from '../support/leaks.ts'
import { RawClient } from '../support/raw-http.ts'

failOnLeaks()

const REQUEST = 'GET /dicomweb/studies HTTP/1.1\r\nHost: gateway.localhost\r\n\r\n'
const statuses = ({ text }: RawClient): string[] => [...text.matchAll(/HTTP\/1\.1 (\d{3}) /g)].map((match) => match[1]!)

describe('a client that sends requests ahead of their answers', () => {
  it('has as many under way as one client may, and is told so of the others', async () => {
    await using setup = await startSetup({ files: [instanceFile()] })
    await using client = await RawClient.connect(setup.port)
    const many = 10 * MAX_REQUESTS_AHEAD
    await client.send(REQUEST.repeat(many))
    await client.until((one) => statuses(one).length === many)
    const served = statuses(client).filter((status) => status === '200').length
    expect(served).toBeGreaterThanOrEqual(MAX_REQUESTS_AHEAD)
    expect(statuses(client).filter((status) => status === '503')).toHaveLength(many - served)
    expect(client.text).toContain('"code":"TOO_MANY_REQUESTS_AHEAD"')
  })

  it('is served again when it has its answers', async () => {
    await using setup = await startSetup({ files: [instanceFile()] })
    await using client = await RawClient.connect(setup.port)
    for (let round = 1; round <= 3; round++) {
      await client.send(REQUEST.repeat(MAX_REQUESTS_AHEAD))
      await client.until((one) => statuses(one).length === round * MAX_REQUESTS_AHEAD)
    }
    expect(new Set(statuses(client))).toEqual(new Set(['200']))
  })
})
