import { describe } from 'vitest'
import { connectionsTo } from '../support/connections.ts'
import { startDcmqrscp } from '../support/dcmqrscp.ts'
import { skipWithoutPeers } from '../support/peers.ts'
import { archiveSuite } from './suite.ts'

describe.skipIf(skipWithoutPeers())('DCMTK', () => {
  for (const association of ['all', 'uncompressed'] as const) {
    archiveSuite(`dcmqrscp, association ${association}`, async (files) => {
      const peer = await startDcmqrscp({ files, association })
      return {
        address: { aeTitle: peer.aeTitle, host: peer.host, port: peer.port },
        refused: peer.refused.map(({ file }) => file),
        capabilities: {
          // It does not answer extended negotiation.
          relational: false,
          // Its index holds a fixed list of attributes, no sequence among them.
          sequenceKeys: false,
          // It reads an object and writes it anew: group lengths, lengths of sequences and pads are its own.
          verbatim: false,
          takes: () => association === 'all',
          // It converts between the native syntaxes only.
          decodes: () => false,
          unfaithful: {},
        },
        openAssociations: () => connectionsTo(peer.port),
        [Symbol.asyncDispose]: () => peer[Symbol.asyncDispose](),
      }
    })
  }
})
