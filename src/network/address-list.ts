import { BlockList, isIPv6 } from 'node:net'

/** Addresses, and blocks of them in CIDR notation. */
export class AddressList {
  readonly #blocks = new BlockList()

  constructor(blocks: readonly string[]) {
    for (const block of blocks) {
      const [address = '', prefix] = block.split('/')
      const family = isIPv6(address) ? 'ipv6' : 'ipv4'
      if (prefix === undefined) this.#blocks.addAddress(address, family)
      else this.#blocks.addSubnet(address, Number(prefix), family)
    }
  }

  /** Whether a plain address (see plainAddress) is among them; nobody without an address is. */
  has(address: string | undefined): boolean {
    return address !== undefined && this.#blocks.check(address, isIPv6(address) ? 'ipv6' : 'ipv4')
  }
}
