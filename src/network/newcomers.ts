import type { Socket } from 'node:net'
import { Counts } from './counts.ts'
import { peerOf, plainAddress } from './transport.ts'

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

interface Newcomer {
  readonly socket: Socket
  readonly address: string | undefined
  /** Counts it off. */
  readonly leave: () => void
}

/**
 * Connections of a listener over which no association stands: they may be silent until ARTIM expires. The oldest makes
 * room for who comes; those with an association are never closed.
 */
export class Newcomers {
  readonly #options: DoorOptions
  /** In the order they came, by what tells them apart. */
  readonly #waiting = new Map<string, Newcomer>()
  /** How many of them each address has. */
  readonly #ofAddress = new Counts<string | undefined>()

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
    if (this.#ofAddress.of(address) >= most) this.#close(this.#oldest((other) => other === address)!)
    else if (open >= maxConnections) {
      const oldest = this.#oldest((other) => !isKnown(other)) ?? this.#oldest(() => true)
      if (oldest === undefined) return false
      this.#close(oldest)
    }
    const key = peerOf(socket)
    this.#waiting.set(key, { socket, address, leave: this.#ofAddress.count(address) })
    socket.once('close', () => {
      if (this.#waiting.get(key)?.socket === socket) this.#leave(key)
    })
    return true
  }

  /** An association stands over it. A socket of TLS is not the one that was let in, but has its address and port. */
  settled(socket: Socket): void {
    this.#leave(peerOf(socket))
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
    this.#waiting.get(key)?.leave()
    this.#waiting.delete(key)
  }
}
