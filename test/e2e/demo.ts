import { DemoArchive } from '../../src/demo/demo-archive.ts'
import type { PeerAddress } from '../support/peers.ts'
import type { ArchiveUnderTest } from './archive-under-test.ts'

export async function demoUnderTest(
  files: readonly string[],
  peers: readonly PeerAddress[],
): Promise<ArchiveUnderTest> {
  const destinations = Object.fromEntries(peers.map((peer) => [peer.aeTitle, peer]))
  const archive = await DemoArchive.start({ relational: true, destinations })
  const refused: string[] = []
  for (const file of files) if ((await archive.load(file)) === 0) refused.push(file)
  return {
    address: { aeTitle: archive.aeTitle, host: '127.0.0.1', port: archive.port },
    refused,
    capabilities: {
      relational: true,
      sequences: 'matched',
      rangesMatchEmpty: false,
      hardNames: {},
      countsInstances: true,
      verbatim: true,
      explicitFirst: true,
      takes: () => true,
    },
    openAssociations: () => archive.associations,
    [Symbol.asyncDispose]: () => archive[Symbol.asyncDispose](),
  }
}
