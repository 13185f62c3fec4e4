import { connectionsTo } from '../support/connections.ts'
import { startDcmqrscp } from '../support/dcmqrscp.ts'
import type { PeerAddress } from '../support/peers.ts'
import type { ArchiveUnderTest } from './archive-under-test.ts'

/** DCMTK's archive: `uncompressed` as it comes, `all` with an association configuration for the files. */
export async function dcmqrscpUnderTest(
  association: 'all' | 'uncompressed',
  files: readonly string[],
  peers: readonly PeerAddress[] = [],
): Promise<ArchiveUnderTest> {
  const peer = await startDcmqrscp({ files, association, peers })
  return {
    address: { aeTitle: peer.aeTitle, host: peer.host, port: peer.port },
    refused: peer.refused.map(({ file }) => file),
    capabilities: {
      // It does not answer extended negotiation.
      relational: false,
      // Its index holds a fixed list of attributes, no sequence among them.
      sequences: 'ignored',
      rangesMatchEmpty: false,
      // It compares in UTF-8, and its iconv has no Japanese sets of ISO 2022.
      hardNames: { 'chrH31.dcm': 'not compared', 'chrH32.dcm': 'not compared', 'chrJapMulti.dcm': 'not compared' },
      // Nor does its index count: the gateway derives what it can.
      countsInstances: false,
      // It reads an object and writes it anew: group lengths, lengths of sequences and pads are its own.
      verbatim: false,
      // Of the syntaxes of a context it takes the one it prefers itself: for some classes Implicit VR.
      explicitFirst: false,
      // It gives and takes what its association configuration names, or only native syntaxes.
      takes: () => association === 'all',
    },
    openAssociations: () => connectionsTo(peer.port),
    [Symbol.asyncDispose]: () => peer[Symbol.asyncDispose](),
  }
}
