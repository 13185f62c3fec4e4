import { connectionsTo } from '../support/connections.ts'
import { startOrthanc } from '../support/orthanc.ts'
import type { PeerAddress } from '../support/peers.ts'
import type { ArchiveUnderTest } from './archive-under-test.ts'

export async function orthancUnderTest(
  files: readonly string[],
  peers: readonly PeerAddress[],
): Promise<ArchiveUnderTest> {
  const peer = await startOrthanc({ files, peers })
  return {
    address: { aeTitle: peer.aeTitle, host: peer.host, port: peer.port },
    refused: peer.refused.map(({ file }) => file),
    capabilities: {
      // It does not answer extended negotiation.
      relational: false,
      sequences: 'returned',
      rangesMatchEmpty: true,
      // It reads all groups of a name in the first of several character sets.
      hardNames: { 'chrH32.dcm': 'spoilt' },
      countsInstances: true,
      // It reads an object and writes it anew: group lengths, lengths of sequences and pads are its own.
      verbatim: false,
      explicitFirst: true,
      takes: () => true,
    },
    openAssociations: () => connectionsTo(peer.port),
    [Symbol.asyncDispose]: () => peer[Symbol.asyncDispose](),
  }
}
