import { BlockList, isIPv6 } from 'node:net'
import type { ArchiveConfig } from '../../config/config.ts'
import type { Uid } from '../../dicom/uids.ts'

/** How an archive calls us. */
export interface Deliverer {
  /** What we call it: its moves name it so. */
  readonly aeTitle: string
  /** AE titles that it may call with besides. */
  readonly aeTitles: readonly string[]
  /** Addresses it may call from; undefined for any. */
  readonly addresses: BlockList | undefined
  /** Milliseconds it may be silent within an instance. */
  readonly timeout: number
  /** Transfer syntaxes that it stores instances in beside those of the standard. */
  readonly ownSyntaxes: readonly Uid[]
}

/** How an archive of the configuration calls us. */
export function delivererOf({ aeTitle, delivery, timeouts, quirks }: ArchiveConfig): Deliverer {
  const { aeTitles, addresses } = delivery
  const blocks = new BlockList()
  for (const block of addresses) {
    const [address, prefix] = block.split('/')
    const family = isIPv6(address!) ? 'ipv6' : 'ipv4'
    if (prefix === undefined) blocks.addAddress(address!, family)
    else blocks.addSubnet(address!, Number(prefix), family)
  }
  return {
    aeTitle,
    aeTitles,
    addresses: addresses.length > 0 ? blocks : undefined,
    timeout: timeouts.response,
    ownSyntaxes: quirks.transferSyntaxes ?? [],
  }
}
