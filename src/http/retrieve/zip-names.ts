import type { Selection } from '../../instance/uids.ts'
import type { CachedInstance } from '../../cache/cached-instance.ts'
import type { ZipEntry } from '../../dicomweb/encode/zip.ts'
import type { Part } from './delivery.ts'

/** Where an instance is in an archive of files: as in URLs, study, series, instance (PS3.18 8.6.1.3.1: dcm is a file of PS3.10). */
export function fileName({
  study,
  series,
  sopInstance,
}: Pick<CachedInstance, 'study' | 'series' | 'sopInstance'>): string {
  return `${safe(study)}/${safe(series)}/${safe(sopInstance)}.dcm`
}

/** A browser saves it by a name of its own, and does not show it. */
export function zipHeaders({ study, series, instance }: Selection): Record<string, string> {
  const name = safe(instance ?? series ?? study)
  return { 'Content-Type': 'application/zip', 'Content-Disposition': `attachment; filename="${name}.zip"` }
}

/** The files that parts are, each with a name of its own: archives hold one instance in several series, and UIDs in other letters. */
export async function* entriesOf(parts: AsyncIterable<Part>): AsyncGenerator<ZipEntry> {
  const names = new Map<string, number>()
  for await (const { body, name = '' } of parts) {
    const key = name.toLowerCase()
    const count = (names.get(key) ?? 0) + 1
    names.set(key, count)
    yield { name: count === 1 ? name : name.replace(/(\.dcm)?$/, `_${count}$1`), body }
  }
}

/** UIDs of archives hold more than digits and dots; a path must lead nowhere else, on no system. */
function safe(uid: string): string {
  const plain = uid.replace(/[^A-Za-z0-9._-]/g, '_').replace(/\.+$/, (dots) => '_'.repeat(dots.length))
  return plain === '' ? '_' : plain
}
