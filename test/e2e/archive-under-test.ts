import type { PeerAddress } from '../support/peers.ts'
import type { Gateway } from '../../src/gateway.ts'
import type { Sample } from './corpus.ts'

/** What an archive does its own way. Where it falls short, the reason is given with the value. */
export interface Capabilities {
  /** Accepts relational queries (PS3.4 C.4.1.3.2): series and instances may be searched without a study. */
  readonly relational: boolean
  /** Tells the number of instances of a study or of a series. */
  readonly countsInstances: boolean
  /** What it does with sequences in a query: matches the keys in them, only returns them, or neither. */
  readonly sequences: 'matched' | 'returned' | 'ignored'
  /** A range that is open at its beginning matches an empty value too, which PS3.4 C.2.2.2.5 does not say. */
  readonly rangesMatchEmpty: boolean
  /** Files whose patient's name it cannot compare with a key, or spoils. */
  readonly hardNames: Readonly<Record<string, 'not compared' | 'spoilt'>>
  /** Data sets that need no other syntax come byte for byte as they are in the files. */
  readonly verbatim: boolean
  /** Sends in Explicit VR what it holds in Explicit VR, whatever else is offered beside it in one context. */
  readonly explicitFirst: boolean
  /** Gives and takes objects stored in an encapsulated syntax. */
  readonly takes: (syntax: string) => boolean
}

/** An archive loaded with files, as a suite wants it. */
export interface ArchiveUnderTest extends AsyncDisposable {
  readonly address: PeerAddress
  readonly capabilities: Capabilities
  /** Of the files it was given, those it would not have. */
  readonly refused: readonly string[]
  /** Files it holds and cannot give, for a reason of its own: they are left out of the tests. */
  readonly withheld?: readonly string[]
  /** Associations it has open now; undefined where that cannot be told. */
  openAssociations(): number | undefined
}

/** A suite under way: a gateway before an archive, and what the archive holds. */
export interface Running {
  readonly gateway: Gateway
  readonly archive: ArchiveUnderTest
  readonly samples: readonly Sample[]
}

/** Tests are declared before anything runs: what runs is asked for inside them. */
export type Use = () => Running
