/** How long instances were waited for, one after the other. */
export class Waits {
  /** Behind the first, whose wait is that for an association too. */
  instances = 0
  #waited = 0
  #began = 0
  #last = 0

  /** One has come, having been asked for at a time by performance.now(). */
  came(asked: number): void {
    const now = performance.now()
    if (this.#began === 0) this.#began = now
    else {
      this.instances++
      this.#waited += now - asked
    }
    this.#last = now
  }

  /** Milliseconds. */
  get perInstance(): number {
    return this.#waited / Math.max(1, this.instances)
  }

  /** Of all the time: the rest is that of their bytes, and of who reads them. */
  get share(): number {
    return this.#waited / Math.max(1, this.#last - this.#began)
  }
}

/** Passes instances on, and notes how long they are waited for. */
export async function* timed<T>(instances: AsyncGenerator<T>, waits: Waits): AsyncGenerator<T> {
  try {
    for (;;) {
      const asked = performance.now()
      const next = await instances.next()
      if (next.done === true) return
      waits.came(asked)
      yield next.value
    }
  } finally {
    await instances.return(undefined)
  }
}
