/** How often the event loop comes round while work is done: 0 where that holds it up from its start to its end. */
export async function turnsDuring(work: () => Promise<unknown>): Promise<number> {
  let turns = 0
  let next = setImmediate(function count() {
    turns++
    next = setImmediate(count)
  })
  try {
    await work()
    return turns
  } finally {
    clearImmediate(next)
  }
}
