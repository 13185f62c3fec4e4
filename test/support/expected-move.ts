import type { ExpectedMove } from '../../src/pacs/delivery/match.ts'
import type { MoveDestination } from '../../src/pacs/delivery/move-destination.ts'
import { collect } from './byte-stream.ts'
import { STUDY } from './slices.ts'

/** A move that takes all it is given; `delivered` are its instances, whole. */
export function expecting(destination: MoveDestination, more: Partial<ExpectedMove> = {}): string[] {
  const delivered: string[] = []
  destination.moves.expect({
    archiveAeTitle: 'PACS',
    callingAeTitle: 'DIMSEGATE',
    messageIds: new Set([7]),
    selection: { study: STUDY },
    lacks: () => true,
    refused: () => undefined,
    deliver: async ({ sopInstance, body }) => {
      await collect(body)
      delivered.push(sopInstance)
      return 0
    },
    ...more,
  })
  return delivered
}
