import { stat } from 'node:fs/promises'

/** How often files are looked at, in ms. Events of file systems miss what Kubernetes and network shares do. */
export const WATCH_MS = 10_000

/**
 * Calls `changed` when one of the files has been written or replaced; again at the next look where it throws, since of
 * a certificate and its key one may have come before the other. What is returned ends it.
 */
export function watchFiles(files: readonly string[], changed: () => Promise<void>, every = WATCH_MS): () => void {
  let seen: string | undefined
  let isOver = false
  const look = async (): Promise<void> => {
    const now = await signature(files)
    if (seen !== undefined && now !== seen) {
      await changed().then(
        () => (seen = now),
        () => undefined,
      )
    }
    seen ??= now
  }
  let timer: NodeJS.Timeout
  const next = (): void => {
    if (isOver) return
    timer = setTimeout(() => void look().finally(next), every).unref()
  }
  void look().finally(next)
  return () => {
    isOver = true
    clearTimeout(timer)
  }
}

async function signature(files: readonly string[]): Promise<string> {
  const each = files.map(async (file) => {
    const { mtimeMs, size, ino } = await stat(file).catch(() => ({ mtimeMs: 0, size: 0, ino: 0 }))
    return [mtimeMs, size, ino].join(' ')
  })
  return (await Promise.all(each)).join('|')
}
