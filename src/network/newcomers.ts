import type { Socket } from 'node:net'
import { plainAddress } from './transport.ts'

/** Connections of one address over which no association stands yet. */
export const MAX_NEWCOMERS_PER_ADDRESS = 16

export interface DoorOptions {
  /** Connections at once, those with an association included. */
  readonly maxConnections: number
  /** Newcomers at once of an address that is known; as many as may have an association. */
  readonly maxOfKnown: number
  /** Whether peers are expected at an address: theirs make room last. */
  readonly isKnown: (address: string | undefined) => boolean
  /** Told of each connection that was closed for another. */
  readonly onMadeRoom: (address: string | undefined) => void
}

/**
 * Connections of a listener over which no association stands: they may be silent until ARTIM expires. The oldest makes
 * room for who comes; those with an association are never closed.
 */
export class Newcomers {
  readonly #options: DoorOptions
  /** In the order they came, by what tells them apart. */
  readonly #waiting = new Map<string, { readonly socket: Socket; readonly address: string | undefined }>()
  /** How many of them each address has. */
  readonly #counts = new Map<string | undefined, number>()

  constructor(options: DoorOptions) {
    this.#options = options
  }

  /** Lets a connection in, where `open` are there besides. False: there is no room. */
  admit(socket: Socket, open: number): boolean {
    const { maxConnections, maxOfKnown, isKnown } = this.#options
    // It is gone already.
    if (socket.remoteAddress === undefined) return true
    const address = plainAddress(socket.remoteAddress)
    const most = isKnown(address) ? maxOfKnown : MAX_NEWCOMERS_PER_ADDRESS
    if ((this.#counts.get(address) ?? 0) >= most) this.#close(this.#oldest((other) => other === address)!)
    else if (open >= maxConnections) {
      const oldest = this.#oldest((other) => !isKnown(other)) ?? this.#oldest(() => true)
      if (oldest === undefined) return false
      this.#close(oldest)
    }
    const key = keyOf(socket)
    this.#waiting.set(key, { socket, address })
    this.#counts.set(address, (this.#counts.get(address) ?? 0) + 1)
    socket.once('close', () => {
      if (this.#waiting.get(key)?.socket === socket) this.#leave(key)
    })
    return true
  }

  /** An association stands over it. A socket of TLS is not the one that was let in, but has its address and port. */
  settled(socket: Socket): void {
    this.#leave(keyOf(socket))
  }

  #oldest(isOf: (address: string | undefined) => boolean): string | undefined {
    for (const [key, { address }] of this.#waiting) if (isOf(address)) return key
    return undefined
  }

  #close(key: string): void {
    const { socket, address } = this.#waiting.get(key)!
    this.#leave(key)
    socket.destroy()
    this.#options.onMadeRoom(address)
  }

  #leave(key: string): void {
    const one = this.#waiting.get(key)
    if (!one) return
    this.#waiting.delete(key)
    const left = this.#counts.get(one.address)! - 1
    if (left === 0) this.#counts.delete(one.address)
    else this.#counts.set(one.address, left)
  }
}

function keyOf({ remoteAddress, remotePort }: Socket): string {
  return `${remoteAddress ?? ''} ${remotePort ?? ''}`
}
