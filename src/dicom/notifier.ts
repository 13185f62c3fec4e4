/**
 * Tells those who wait that something has changed; each then looks whether it is what it waits for. `changed` is to be
 * asked for before anything else is awaited, or a change is missed.
 */
export class Notifier {
  #next: PromiseWithResolvers<undefined> | undefined

  /** Resolves at the next change. */
  get changed(): Promise<undefined> {
    this.#next ??= Promise.withResolvers<undefined>()
    return this.#next.promise
  }

  /** That a signal is aborted is a change too, until what is returned is disposed of. */
  following(signal: AbortSignal): Disposable {
    const notify = (): void => this.notify()
    signal.addEventListener('abort', notify)
    return { [Symbol.dispose]: () => signal.removeEventListener('abort', notify) }
  }

  notify(): void {
    const next = this.#next
    this.#next = undefined
    next?.resolve(undefined)
  }
}
