import type { Http2Session } from 'node:http2'
import { PING_MS, SILENCE_MS } from './relay.ts'

/** Ends a connection whose other side is gone without a word, as behind a cut network. */
export function endWhenSilent(session: Http2Session): void {
  let heard = performance.now()
  let looked = heard
  const timer = setInterval(() => {
    const now = performance.now()
    // Who was stopped himself has not read what came.
    if (now - looked > 2 * PING_MS) heard = now
    looked = now
    if (now - heard > SILENCE_MS) session.destroy(new Error('A replica does not answer'))
    else if (!session.destroyed) session.ping((error) => (heard = error ? heard : performance.now()))
  }, PING_MS).unref()
  session.once('close', () => clearInterval(timer))
}
