import { connect, createServer, type Server, type Socket } from 'node:net'
import { readCommandSet } from './golden.ts'

/** Command Field values (PS3.7 E.1) that tests look for. */
export const Field = { store: 0x0001, get: 0x0010, find: 0x0020, cancel: 0x0fff } as const

export interface TappedCommand {
  /** Number of the connection, from 0. */
  readonly connection: number
  readonly field: number
  /** Message ID, or that of the message it is a response or a cancellation to. */
  readonly messageId: number
}

/** Stands between a requestor and an archive, passes everything on, and notes the commands the requestor sends. */
export class WireTap implements AsyncDisposable {
  readonly commands: TappedCommand[] = []
  /** A-ABORT PDUs of the requestor. */
  aborts = 0
  connections = 0
  readonly #server: Server
  readonly #sockets = new Set<Socket>()

  private constructor(target: number) {
    this.#server = createServer((socket) => {
      const connection = this.connections++
      const onward = connect({ port: target, host: '127.0.0.1' })
      for (const [from, to] of [
        [socket, onward],
        [onward, socket],
      ] as const) {
        this.#sockets.add(from)
        from.setNoDelay(true)
        from.on('error', () => undefined)
        from.on('close', () => {
          this.#sockets.delete(from)
          to.destroy()
        })
        from.pipe(to)
      }
      const reader = new PduReader((type, body) => this.#look(connection, type, body))
      socket.on('data', (chunk) => reader.push(chunk))
    })
  }

  static async before(port: number): Promise<WireTap> {
    const tap = new WireTap(port)
    await new Promise<void>((resolve) => tap.#server.listen(0, '127.0.0.1', () => resolve()))
    return tap
  }

  get port(): number {
    return (this.#server.address() as { port: number }).port
  }

  count(field: number): number {
    return this.commands.filter((command) => command.field === field).length
  }

  #look(connection: number, type: number, body: Buffer): void {
    if (type === 7) this.aborts++
    if (type !== 4) return
    for (let at = 0; at + 6 <= body.length; at += 4 + body.readUInt32BE(at)) {
      // A command in one whole fragment: all that requestors send are.
      if (body[at + 5] !== 3) continue
      const elements = readCommandSet(body.subarray(at + 6, at + 4 + body.readUInt32BE(at)))
      const field = elements.get('0100')!.readUInt16LE()
      const messageId = (elements.get('0110') ?? elements.get('0120'))!.readUInt16LE()
      this.commands.push({ connection, field, messageId })
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy()
    await new Promise((resolve) => this.#server.close(resolve))
  }
}

/** PDUs whole, their bodies up to a size; of larger ones, which hold data, nothing is needed. */
class PduReader {
  readonly #found: (type: number, body: Buffer) => void
  #held: Buffer = Buffer.alloc(0)

  constructor(found: (type: number, body: Buffer) => void) {
    this.#found = found
  }

  push(chunk: Buffer): void {
    this.#held = this.#held.length === 0 ? chunk : Buffer.concat([this.#held, chunk])
    while (this.#held.length >= 6) {
      const end = 6 + this.#held.readUInt32BE(2)
      if (this.#held.length < end) return
      this.#found(this.#held[0]!, this.#held.subarray(6, end))
      this.#held = this.#held.subarray(end)
    }
  }
}
