import { once } from 'node:events'
import { connect, createServer, type AddressInfo, type Socket } from 'node:net'

/** Bytes of one direction that are on their way, before what sends them is held back. */
const MAX_ON_THE_WAY = 64 * 1024 * 1024

export interface Delayed extends AsyncDisposable {
  readonly port: number
}

/** A way to a port of loopback on which everything takes so many ms longer in each direction, at any rate. */
export async function startDelayed(port: number, milliseconds: number, ownPort = 0): Promise<Delayed> {
  const sockets = new Set<Socket>()
  const server = createServer({ noDelay: true, allowHalfOpen: true }, (near) => {
    const far = connect({ port, host: '127.0.0.1', noDelay: true, allowHalfOpen: true })
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.add(from)
      from.on('close', () => sockets.delete(from))
      from.on('error', () => to.destroy())
      delayedFrom(from, to, milliseconds)
    }
  })
  server.listen(ownPort, '127.0.0.1')
  await once(server, 'listening')
  return {
    port: (server.address() as AddressInfo).port,
    [Symbol.asyncDispose]: async () => {
      server.close()
      for (const socket of sockets) socket.destroy()
      await once(server, 'close')
    },
  }
}

/** Each piece goes on so long after it came; the end too. */
function delayedFrom(from: Socket, to: Socket, milliseconds: number): void {
  const line: { readonly at: number; readonly piece: Buffer | undefined }[] = []
  let onTheWay = 0
  let timer: NodeJS.Timeout | undefined
  const arrive = (): void => {
    timer = undefined
    const now = performance.now()
    for (let next = line[0]; next; next = line[0]) {
      if (next.at > now) {
        timer = setTimeout(arrive, Math.ceil(next.at - now))
        return
      }
      line.shift()
      if (!next.piece) {
        to.end()
        continue
      }
      onTheWay -= next.piece.length
      to.write(next.piece)
    }
    if (onTheWay < MAX_ON_THE_WAY) from.resume()
  }
  const enter = (piece: Buffer | undefined): void => {
    line.push({ at: performance.now() + milliseconds, piece })
    onTheWay += piece?.length ?? 0
    if (onTheWay >= MAX_ON_THE_WAY) from.pause()
    timer ??= setTimeout(arrive, milliseconds)
  }
  from.on('data', enter)
  from.on('end', () => enter(undefined))
  from.on('close', () => {
    clearTimeout(timer)
    to.destroy()
  })
}
