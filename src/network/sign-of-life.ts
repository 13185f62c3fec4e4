import { connect, createServer, type Server } from 'node:net'

/**
 * A socket in the file system as a sign that its process lives, which ends with the process however that ends. No id of a
 * process tells as much between containers, each of which counts anew. Nothing is ever said over it.
 * @throws errors of the file system
 */
export function beAlive(path: string): Promise<Server> {
  return new Promise((resolve, reject) => {
    const server = createServer((socket) => socket.destroy())
    server.once('error', reject)
    server.listen(path, () => {
      server.off('error', reject)
      // One that cannot be accepted has seen that somebody is there.
      server.on('error', () => undefined)
      server.unref()
      resolve(server)
    })
  })
}

/** Whether the process lives whose sign it is; undefined where there is none. What cannot be told counts as alive. */
export function isAlive(path: string): Promise<boolean | undefined> {
  return new Promise((resolve) => {
    const socket = connect(path)
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', ({ code }: NodeJS.ErrnoException) =>
      resolve(code === 'ENOENT' ? undefined : code !== 'ECONNREFUSED'),
    )
  })
}
