import type { HttpContext } from './context.ts'

/**
 * Who asks, as a word that is the same for all requests of one client: those who share what is scarce have their turns by
 * it. Until users sign in it is the address at the other end of the connection.
 */
export function clientOf({ env }: HttpContext): string {
  return env.incoming.socket.remoteAddress ?? ''
}
