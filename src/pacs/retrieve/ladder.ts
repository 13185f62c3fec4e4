import { Status } from '../../dimse/status.ts'

// What is tried for a retrieve, after which failure, in which order: docs/decisions/0005-get-contexts-and-retries.md and
// 0011-c-move.md say why. The first C-GET or C-MOVE asks for the whole selection. Where that does not bring all, what is
// missing is listed by C-FIND and asked for in batches, each by the rungs of its ladder until nothing of it is left.

/** How to go on after the first C-GET or C-MOVE. */
export interface Ladder<Rung> {
  /** How often what is missing is listed and climbed for. */
  readonly rounds: number
  /** What is tried for a batch of what is missing, in this order. */
  readonly rungs: readonly Rung[]
  /** Statuses behind which another try has no other end. */
  readonly final: readonly number[]
  /** Whose status is told where not all came. */
  readonly tells: 'first' | 'last'
}

/** One or more C-GETs for what is left of a batch. */
export interface GetRung {
  readonly name: string
  /** When it is tried, beside that something is left: always, or only after this. */
  readonly after: 'anything' | 'wish for uncompressed' | 'failure of several together' | 'nothing of several together'
  /** Of the batch: all that is left in one C-GET, each in one of its own, or only those whose class is not known. */
  readonly asks: 'all' | 'each' | 'all of no known class'
  /** The classes to propose: those of the instances together, one after another, or the frequent ones. */
  readonly classes: 'together' | 'one by one' | 'frequent'
  /**
   * The syntaxes to propose for them: uncompressed ones; all encapsulated ones besides, as many as there is room for; or
   * those of them that no rung had accepted yet, in runs that there is room for.
   */
  readonly syntaxes: 'uncompressed' | 'stored' | 'stored, in runs'
  /** Then in each encapsulated syntax that was accepted, alone: some archives use just one context of a class. */
  readonly thenEachAlone: boolean
  /** So many C-GETs in front of the first that brings something, then it is left. */
  readonly patience?: number
}

/** Instances that are asked for alone until it is clear that this brings no more than a list. */
export const SINGLES_TRIED = 3

export const GET_LADDER: Ladder<GetRung> = {
  rounds: 1,
  rungs: [
    {
      name: 'uncompressed',
      after: 'wish for uncompressed',
      asks: 'all',
      classes: 'together',
      syntaxes: 'uncompressed',
      thenEachAlone: false,
    },
    {
      // One that cannot be converted may have ended the whole C-GET.
      name: 'uncompressed, each alone',
      after: 'failure of several together',
      asks: 'each',
      classes: 'together',
      syntaxes: 'uncompressed',
      thenEachAlone: false,
    },
    {
      // The web layer may still be allowed to give it.
      name: 'as stored',
      after: 'anything',
      asks: 'all',
      classes: 'together',
      syntaxes: 'stored',
      thenEachAlone: true,
    },
    {
      // Where there was no room for all classes in all syntaxes.
      name: 'as stored, class by class',
      after: 'anything',
      asks: 'all',
      classes: 'one by one',
      syntaxes: 'stored, in runs',
      thenEachAlone: true,
    },
    {
      // The archive keeps the classes to itself.
      name: 'in any frequent class',
      after: 'anything',
      asks: 'all of no known class',
      classes: 'frequent',
      syntaxes: 'uncompressed',
      thenEachAlone: false,
    },
    {
      // The archive refuses or passes over lists of UIDs.
      name: 'as stored, each alone',
      after: 'nothing of several together',
      asks: 'each',
      classes: 'together',
      syntaxes: 'stored',
      thenEachAlone: false,
      patience: SINGLES_TRIED,
    },
  ],
  // An archive that refuses one C-GET may answer a narrower one.
  final: [],
  // Retries with narrow contexts fail in ways that say little.
  tells: 'first',
}

/** One or more C-MOVEs for what is left of a batch. */
export interface MoveRung {
  readonly name: string
  /** All that is left in one, or each in one of its own, where several together brought nothing. */
  readonly asks: 'all' | 'each'
}

export const MOVE_LADDER: Ladder<MoveRung> = {
  rounds: 2,
  rungs: [
    { name: 'again', asks: 'all' },
    { name: 'each alone', asks: 'each' },
  ],
  final: [Status.moveDestinationUnknown, Status.notAuthorized],
  tells: 'last',
}
