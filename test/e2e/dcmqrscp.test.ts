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
          sequences: 'ignored',
          rangesMatchEmpty: false,
          // It compares in UTF-8, and its iconv has no Japanese sets of ISO 2022.
          hardNames: { 'chrH31.dcm': 'not compared', 'chrH32.dcm': 'not compared', 'chrJapMulti.dcm': 'not compared' },
          // Nor does it count: the gateway derives what it can.
          countsInstances: false,
          // It reads an object and writes it anew: group lengths, lengths of sequences and pads are its own.
          verbatim: false,
          // Of the syntaxes of a context it takes the one it prefers itself: for some classes Implicit VR.
          explicitFirst: false,
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
