import { once } from 'node:events'
import { setTimeout as delay } from 'node:timers/promises'
import { connect, type ConnectionOptions, type TLSSocket } from 'node:tls'
import { auditMessage } from './audit-message.ts'
import type { AuditEvent, AuditSink, AuditSource } from './event.ts'

/** Milliseconds to connect, and for what is written to leave. */
const WAIT_MS = 10_000
/**
 * Milliseconds that the first write on a connection waits for its end: under TLS 1.3 a server looks at our certificate
 * when the handshake is over for us, and some look later still.
 */
export const SETTLING_MS = 1_000
/** Milliseconds that a server has to end a connection after us: what was written has left before. */
export const END_MS = 2_000
/** RFC 5424 6.2.1: facility 10 (security), severity 5 (notice). */
const PRIORITY = 10 * 8 + 5
/** PS3.15 A.6.1: what the message is. */
const MESSAGE_ID = 'DICOM+RFC3881'

type SyslogFault = 'SYSLOG_TIMEOUT' | 'SYSLOG_ENDED'

/** The syslog server does not take what is written, or ends the connection. */
export class SyslogError extends Error {
  readonly code: SyslogFault
  constructor(code: SyslogFault, message: string) {
    super(message)
    this.name = 'SyslogError'
    this.code = code
  }
}

export type SyslogTls = Pick<ConnectionOptions, 'ca' | 'cert' | 'key' | 'servername' | 'minVersion'>

export interface SyslogSinkOptions {
  readonly host: string
  readonly port: number
  /** Read for each connection: certificates are renewed. */
  readonly tls: () => Promise<SyslogTls>
  readonly source: AuditSource
}

/** A syslog server by TLS (RFC 5424, 5425; PS3.15 A.6): it takes what comes, and does not say that it has it. */
export class SyslogSink implements AuditSink {
  readonly name = 'syslog'
  readonly #options: SyslogSinkOptions
  #socket: TLSSocket | undefined

  constructor(options: SyslogSinkOptions) {
    this.#options = options
  }

  async write(events: readonly AuditEvent[]): Promise<void> {
    const { source } = this.#options
    const frames = events.map((event) => syslogFrame(event, source))
    const isFresh = this.#socket?.writable !== true
    const socket = isFresh ? await this.#connected() : this.#socket!
    try {
      await within(
        new Promise<void>((resolve, reject) => {
          socket.write(Buffer.concat(frames), (error) => (error ? reject(error) : resolve()))
        }),
      )
      if (isFresh) await settled(socket)
    } catch (error) {
      socket.destroy()
      // A write that failed since the connection had: why that did says more.
      throw socket.errored ?? error
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const socket = this.#socket
    if (!socket || socket.destroyed) return
    // What was written goes out before the end.
    socket.end()
    await within(once(socket, 'close'), END_MS).catch(() => socket.destroy())
  }

  async #connected(): Promise<TLSSocket> {
    this.#socket?.destroy()
    const { host, port, tls } = this.#options
    const socket = connect({ host, port, ...(await tls()) })
    // Told where it is waited for; in between the next write finds out.
    socket.on('error', () => undefined)
    // A server that says anything says nothing to us; its end is noticed by reading.
    socket.resume()
    socket.on('end', () => socket.destroy())
    this.#socket = socket
    try {
      await within(once(socket, 'secureConnect'))
    } catch (error) {
      socket.destroy()
      throw error
    }
    return socket
  }
}

/** @throws the error of the connection that ends meanwhile: whether anything of it was read is not known */
async function settled(socket: TLSSocket): Promise<void> {
  const calm = new AbortController()
  try {
    const ended = socket.closed ? Promise.resolve() : once(socket, 'close', { signal: calm.signal })
    const isOver = await Promise.race([ended.then(() => true), delay(SETTLING_MS, false, { signal: calm.signal })])
    if (isOver) throw socket.errored ?? new SyslogError('SYSLOG_ENDED', 'The syslog server ended the connection')
  } finally {
    calm.abort()
  }
}

/** One message: its length, a space, and it (RFC 5425 4.3). */
export function syslogFrame(event: AuditEvent, source: AuditSource): Buffer {
  const header = `<${PRIORITY}>1 ${event.at} ${word(source.host)} dimsegate ${process.pid} ${MESSAGE_ID} -`
  const message = Buffer.from(`${header} \ufeff${auditMessage(event, source)}`, 'utf8')
  return Buffer.concat([Buffer.from(`${message.length} `), message])
}

/** RFC 5424 6: printable, without spaces. */
function word(text: string): string {
  return text.replace(/[^!-~]/g, '').slice(0, 255) || '-'
}

async function within<T>(work: Promise<T>, ms = WAIT_MS): Promise<T> {
  const { promise, reject } = Promise.withResolvers<never>()
  const timer = setTimeout(
    () => reject(new SyslogError('SYSLOG_TIMEOUT', 'The syslog server does not take it in time')),
    ms,
  )
  try {
    return await Promise.race([work, promise])
  } finally {
    clearTimeout(timer)
  }
}
