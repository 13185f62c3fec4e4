import { createServer, type Server } from 'node:net'

/**
 * A TCP port on which nothing listens, kept for this process until it ends: no other process that asks here gets it.
 *
 * `listen(0)` is not enough: it closes again before the peer binds, and in between the kernel may hand the same port to
 * another test process or to an outgoing connection. So the port comes from below the ephemeral range, and on Linux an
 * abstract socket named after it is the reservation (it has the scope of the port, the network namespace, and goes with
 * the process however that ends).
 */
export async function freePort(): Promise<number> {
  for (let attempt = 0; attempt < 500; attempt++) {
    const port = FIRST + Math.floor(Math.random() * (END - FIRST))
    const reservation = await reserve(port)
    if (reservation === undefined) continue
    // The peers listen on every address, so every address must be free, not loopback alone.
    const probe = await listen({ port, host: '0.0.0.0', exclusive: true })
    if (probe !== undefined) {
      await new Promise((resolve) => probe.close(resolve))
      return port
    }
    reservation.close()
  }
  throw new Error(`No free TCP port found between ${FIRST} and ${END - 1}`)
}

const FIRST = 20_000
const END = 32_000 // Linux's ephemeral ports begin at 32768, macOS's at 49152.

async function reserve(port: number): Promise<{ close(): void } | undefined> {
  if (process.platform !== 'linux') return { close: () => undefined }
  return listen({ path: `\0dimsegate-test-port-${port}` })
}

/** Undefined if the address is taken. The server does not keep the process alive. */
function listen(
  options: { port: number; host: string; exclusive: true } | { path: string },
): Promise<Server | undefined> {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.unref()
    server.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EADDRINUSE') resolve(undefined)
      else reject(error)
    })
    server.listen(options, () => resolve(server))
  })
}
