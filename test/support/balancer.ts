import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net'

/** A TCP balancer: each connection to it goes on to one of several ports of loopback. */
export class Balancer implements AsyncDisposable {
  readonly #server: Server
  readonly #sockets = new Set<Socket>()
  /** Ports that it chooses from; may be changed. */
  targets: readonly number[]
  /** Which of `targets` is next; at random unless told. */
  choose: (count: number) => number = (count) => Math.floor(Math.random() * count)
  /** Connections that went to each port. */
  readonly connections = new Map<number, number>()

  private constructor(targets: readonly number[]) {
    this.targets = targets
    this.#server = createServer((socket) => this.#passOn(socket))
  }

  /** Listens on a free port, or on that one. */
  static async start(targets: readonly number[], port = 0): Promise<Balancer> {
    const one = new Balancer(targets)
    await new Promise<void>((resolve, reject) => {
      one.#server.once('error', reject).listen(port, '127.0.0.1', () => resolve())
    })
    return one
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port
  }

  /** Ends all connections that stand, without a word on them. */
  cut(): void {
    for (const socket of this.#sockets) socket.destroy()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve))
    this.cut()
    await closed
  }

  #passOn(socket: Socket): void {
    const target = this.targets[this.choose(this.targets.length)]
    if (target === undefined) return void socket.destroy()
    this.connections.set(target, (this.connections.get(target) ?? 0) + 1)
    const onward = connect(target, '127.0.0.1')
    for (const [one, other] of [
      [socket, onward],
      [onward, socket],
    ] as const) {
      this.#sockets.add(one)
      one.setNoDelay(true)
      one.on('error', () => other.destroy())
      one.on('close', () => {
        this.#sockets.delete(one)
        other.destroy()
      })
      one.pipe(other)
    }
  }
}
