import type { ArchiveConfig } from '../../config/config.ts'
import type { Principal, Verb } from './principal.ts'

type ArchiveNames = Pick<ArchiveConfig, 'name' | 'aeTitle'>

/** Stands for the name of the archive in a scope. */
const ARCHIVE = '{archive}'
/** As a scope that is needed: anybody who has signed in. */
const ANYBODY = '*'

/**
 * What somebody with certain scopes, or groups, may do: any of those that `needed` lists for a verb is enough. `archives`:
 * those that he is let to, by name or AE title; undefined for all.
 */
export function byScopes(
  needed: Readonly<Record<Verb, readonly string[]>>,
  held: ReadonlySet<string>,
  archives?: readonly string[],
): Principal['may'] {
  return (verb, archive) => {
    if (archive && !isAmong(archive, archives)) return false
    return needed[verb].some((scope) => scope === ANYBODY || held.has(namingArchive(scope, archive)))
  }
}

/** What somebody may do of whom the configuration lists the verbs and the archives. */
export function byVerbs(verbs: readonly Verb[], archives: readonly string[] | null): Principal['may'] {
  return (verb, archive) => verbs.includes(verb) && (!archive || isAmong(archive, archives ?? undefined))
}

function namingArchive(scope: string, archive: ArchiveNames | undefined): string {
  return archive ? scope.replaceAll(ARCHIVE, archive.name) : scope
}

function isAmong({ name, aeTitle }: ArchiveNames, archives: readonly string[] | undefined): boolean {
  return archives === undefined || archives.includes(name) || archives.includes(aeTitle)
}
