import type { Config } from '../../config/config.ts'
import type { Archive } from '../archive.ts'
import { Copies } from './copies.ts'
import { KnownListings } from './known-listings.ts'

type FederationConfig = NonNullable<Config['federation']>

/** Several archives that are searched, and retrieved from, as one. */
export class Federation {
  readonly config: FederationConfig
  /** The nearest first. */
  readonly archives: readonly Archive[]
  readonly copies: Copies
  readonly listings = new KnownListings()
  /** Where it stores. */
  readonly storeTo: Archive

  /** `all`: those of the configuration, in which it names its own. */
  constructor(config: FederationConfig, all: readonly Archive[]) {
    this.config = config
    const named = (name: string): Archive => all.find((archive) => archive.config.name === name)!
    this.archives = config.archives?.map(named) ?? all
    this.copies = new Copies(this.archives, config.timeout)
    this.storeTo = config.store === null ? this.archives[0]! : named(config.store)
  }
}
