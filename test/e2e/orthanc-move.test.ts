import { describe } from 'vitest'
import { skipWithoutPeers } from '../support/peers.ts'
import { orthancUnderTest } from './orthanc.ts'
import { archiveSuite } from './suite.ts'

describe.skipIf(skipWithoutPeers())('Orthanc', () => {
  archiveSuite('Orthanc by C-MOVE', orthancUnderTest, 'move')
})
