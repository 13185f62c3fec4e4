import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'

/** Passes TCP connections on to a port of this machine, and spoils them when it is told. */
export class Link implements AsyncDisposable {
  readonly #server: Server
  readonly #target: number
  readonly #pairs = new Set<Pair>()
  #port = 0
  /** Pending while nothing is passed on. */
  #flow: PromiseWithResolvers<undefined> | undefined
  /** Of each connection, in each direction; undefined for no limit. */
  bytesPerSecond: number | undefined

  private constructor(target: number) {
    this.#target = target
    // What one side has ended may still be answered by the other.
    this.#server = createServer({ noDelay: true, allowHalfOpen: true }, (near) => this.#pass(near))
  }

  static async open(target: number): Promise<Link> {
    const link = new Link(target)
    await link.accept()
    return link
  }

  get port(): number {
    return this.#port
  }

  get connections(): number {
    return this.#pairs.size
  }

  /** Breaks every connection off now. */
  cut(): void {
    for (const pair of this.#pairs) pair.cut()
  }

  /** Breaks every connection off once so many more bytes have passed. */
  cutAfter(bytes: number): void {
    for (const pair of this.#pairs) pair.left = bytes
  }

  /** Passes nothing on; connections are accepted all the same. */
  stall(): void {
    this.#flow ??= Promise.withResolvers<undefined>()
  }

  /** Passes on again, as fast as it can. */
  heal(): void {
    this.#flow?.resolve(undefined)
    this.#flow = undefined
    this.bytesPerSecond = undefined
    for (const pair of this.#pairs) pair.left = Infinity
  }

  /** New connections are refused by the system. */
  refuse(): void {
    this.#server.close()
  }

  async accept(): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<undefined>()
    this.#server.once('error', reject)
    this.#server.listen(this.#port, '127.0.0.1', () => resolve(undefined))
    await promise
    this.#server.off('error', reject)
    this.#port = (this.#server.address() as AddressInfo).port
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.heal()
    this.cut()
    if (this.#server.listening) await new Promise((resolve) => this.#server.close(resolve))
  }

  #pass(near: Socket): void {
    const far = connect({ port: this.#target, host: '127.0.0.1', noDelay: true, allowHalfOpen: true })
    const pair = new Pair(near, far)
    this.#pairs.add(pair)
    void Promise.all([this.#pump(pair, near, far), this.#pump(pair, far, near)])
      .catch(() => pair.cut())
      .finally(() => this.#pairs.delete(pair))
  }

  async #pump(pair: Pair, from: Socket, to: Socket): Promise<void> {
    for await (const chunk of from.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
      await this.#flow?.promise
      if (this.bytesPerSecond !== undefined) await delay((chunk.length / this.bytesPerSecond) * 1000)
      const part = chunk.subarray(0, pair.left)
      pair.left -= part.length
      if (!to.write(part)) await drained(to)
      if (pair.left <= 0) {
        // Some bytes in front of the end shall arrive.
        await new Promise(setImmediate)
        pair.cut()
        return
      }
    }
    await this.#flow?.promise
    to.end()
  }
}

/** The two halves of one connection. */
class Pair {
  readonly #near: Socket
  readonly #far: Socket
  /** Bytes until it is cut. */
  left = Infinity

  constructor(near: Socket, far: Socket) {
    this.#near = near
    this.#far = far
    for (const socket of [near, far]) socket.on('error', () => this.cut())
  }

  cut(): void {
    for (const socket of [this.#near, this.#far]) {
      // A reset right behind an end fails in Node (EINVAL), and the socket then stays open for ever.
      if (socket.writableEnded) socket.destroy()
      else socket.resetAndDestroy()
    }
  }
}

function drained(socket: Socket): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<undefined>()
  const done = (): void => {
    socket.off('drain', done)
    socket.off('close', done)
    resolve(undefined)
  }
  if (socket.destroyed) return Promise.resolve()
  socket.on('drain', done)
  socket.on('close', done)
  return promise
}
