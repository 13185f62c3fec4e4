import { subscribe, unsubscribe } from 'node:diagnostics_channel'

export function listen(name: string, listener: (message: unknown) => void): () => void {
  subscribe(name, listener)
  return () => void unsubscribe(name, listener)
}
