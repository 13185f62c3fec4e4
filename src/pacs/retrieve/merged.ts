/**
 * What several streams give, as it comes, each by turns where several have something. One is asked for its next when what it
 * gave was taken. What fails one fails all; they are ended in every case, by `end` at first where they wait.
 */
export async function* merged<T>(streams: readonly AsyncGenerator<T>[], end: () => void): AsyncGenerator<T> {
  const steps = new Map<AsyncGenerator<T>, Promise<Step<T>>>()
  try {
    for (const stream of streams) steps.set(stream, stepOf(stream))
    while (steps.size > 0) {
      const { stream, result } = await Promise.race(steps.values())
      // To the end of the line.
      steps.delete(stream)
      if (result.done === true) continue
      yield result.value
      steps.set(stream, stepOf(stream))
    }
  } finally {
    if (steps.size > 0) end()
    await Promise.allSettled(streams.map((stream) => stream.return(undefined)))
  }
}

interface Step<T> {
  readonly stream: AsyncGenerator<T>
  readonly result: IteratorResult<T>
}

function stepOf<T>(stream: AsyncGenerator<T>): Promise<Step<T>> {
  const step = stream.next().then((result) => ({ stream, result }))
  // It may fail when nobody waits for it any more.
  step.catch(() => undefined)
  return step
}
