import { describe } from 'vitest'
import { skipWithoutPeers, type PeerAddress } from '../support/peers.ts'
import type { ArchiveUnderTest } from './archive-under-test.ts'
import { dcmqrscpUnderTest } from './dcmqrscp.ts'
import { archiveSuite } from './suite.ts'

/** Outgoing associations of dcmqrscp do not propose Parametric Map Storage. */
const isGiven = (file: string): boolean => !file.endsWith('parametric_map_float.dcm')

describe.skipIf(skipWithoutPeers())('DCMTK', () => {
  // They are for native syntaxes, whatever its association configuration says.
  const start = async (files: readonly string[], peers: readonly PeerAddress[]): Promise<ArchiveUnderTest> => ({
    ...(await dcmqrscpUnderTest('uncompressed', files.filter(isGiven), peers)),
    withheld: files.filter((file) => !isGiven(file)),
  })
  archiveSuite('dcmqrscp, by C-MOVE', start, 'move')
})
