import { describe } from 'vitest'
import { skipWithoutPeers } from '../support/peers.ts'
import { orthancUnderTest } from './orthanc.ts'
import { archiveSuite } from './suite.ts'

describe.skipIf(skipWithoutPeers())('Orthanc', () => {
  archiveSuite(
    'Orthanc by C-MOVE',
    async (files, peers) => {
      const archive = await orthancUnderTest(files, peers)
      // By C-MOVE no archive is asked to decompress.
      return { ...archive, capabilities: { ...archive.capabilities, decodes: () => false } }
    },
    'move',
  )
})
