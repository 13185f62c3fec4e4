import { describe, expect, test } from 'vitest'
import { faultsOf, omissions, readFacts } from '../../scripts/check-docs.ts'

const facts = readFacts()
const faults = (text: string): string[] => faultsOf('docs/example.md', text, facts)

describe('faultsOf', () => {
  test.each([
    [
      '[there](configuration.md#the-file), [up](../package.json), [away](https://example.org/x), [here](#an-anchor)\n# An anchor',
    ],
    ['`http.maxBodyBytes`, `archives[].timeouts.stall`, `archives[0].search.maxResults`, `cache`'],
    ['DIMSEGATE_HTTP__PORT, DIMSEGATE_ARCHIVES__1__AETITLE, `DIMSEGATE_`, `DIMSEGATE_CONFIG`'],
    ['dimsegate_pool_associations, dimsegate_http_request_duration_seconds_bucket'],
    [
      '`src/main.ts`\n1 MiB, `MAX_IDENTITY_BYTES`, `src/instance/arrival.ts`\n5 s, `CANCEL_GRACE_MS`, `src/dimse/scu.ts`\n`PEER_TIMEOUT`, npm run typecheck',
    ],
    ['`[index](nowhere.md)` is not a link\n```sh\ncat [a](nowhere.md)\n```'],
  ])('lets pass: %s', (text) => {
    expect(faults(text)).toEqual([])
  })

  test.each([
    ['[there](nowhere.md)', 'the link nowhere.md leads nowhere'],
    ['[there](configuration.md#nothing)', 'the link configuration.md#nothing has no such heading'],
    ['`http.maxBody`', 'no configuration key is called http.maxBody'],
    ['`archives[].timeouts.nap`', 'no configuration key is called archives[].timeouts.nap'],
    ['DIMSEGATE_HTTP__PROT', 'no variable is called DIMSEGATE_HTTP__PROT'],
    ['dimsegate_naps_total', 'no metric is called dimsegate_naps_total'],
    ['`src/nap.ts`', 'there is no src/nap.ts'],
    ['`NAP_BYTES`', 'NAP_BYTES is nowhere in the code'],
    [
      '`MAX_IDENTITY_BYTES` in `src/http/body/send-stream.ts`',
      'MAX_IDENTITY_BYTES is not in src/http/body/send-stream.ts',
    ],
    ['2 MiB, `MAX_IDENTITY_BYTES`, `src/instance/arrival.ts`', 'MAX_IDENTITY_BYTES is 1048576'],
    ['npm run nap', 'package.json has no script nap'],
  ])('objects to: %s', (text, fault) => {
    expect(faults(text)).toEqual([fault])
  })
})

test('an error code, metric or proposed UID that no document names is an omission', () => {
  const all = omissions(new Map(), facts)
  expect(all).toContain('docs/errors.md: lacks PEER_TIMEOUT')
  expect(all).toContain('docs/errors.md: lacks DIMSE_STATUS')
  expect(all).toContain('docs/errors.md: lacks METHOD_NOT_ALLOWED')
  expect(all).toContain('docs/errors.md: lacks CONNECT_FAILED')
  expect(all).toContain('docs/operations.md: lacks dimsegate_pool_associations')
  expect(all).toContain('docs/conformance.md: lacks 1.2.840.10008.1.2.4.70')
})
