import { describe } from 'vitest'
import { skipWithoutPeers } from '../support/peers.ts'
import { dcmqrscpUnderTest } from './dcmqrscp.ts'
import { archiveSuite } from './suite.ts'

describe.skipIf(skipWithoutPeers())('DCMTK', () => {
  archiveSuite('dcmqrscp, association uncompressed', (files) => dcmqrscpUnderTest('uncompressed', files))
})
