/** `problem`: something users want will not work. `note`: good to know, or to improve. */
export type Level = 'ok' | 'note' | 'problem'

/** What one step found. `text` and `ask` are sentences for people and may change; `code` stays. */
export interface Finding {
  readonly level: Level
  readonly code: string
  readonly text: string
  /** One sentence to send to the administrator of the archive. */
  readonly ask?: string
  /** The values in the sentences, for programs. */
  readonly facts?: Facts
}

export type Facts = Readonly<Record<string, string | number | boolean | readonly string[]>>

/** What was found at one archive. */
export interface ArchiveReport {
  readonly name: string
  readonly aeTitle: string
  readonly host: string
  readonly port: number
  readonly callingAeTitle: string
  /** The address the archive sees us at, where a connection came about. */
  readonly ourHost?: string
  /** The worst of the findings. */
  readonly level: Level
  readonly milliseconds: number
  readonly findings: readonly Finding[]
}

/** What was found at a destination of routes: a DICOM node, or a DICOMweb server. */
export interface DestinationReport {
  readonly name: string
  readonly aeTitle?: string
  readonly host?: string
  readonly port?: number
  /** Of a DICOMweb server. */
  readonly url?: string
  readonly level: Level
  readonly findings: readonly Finding[]
}

/** The worst level there is; `ok` of nothing. */
export function worst(all: readonly { readonly level: Level }[]): Level {
  if (all.some(({ level }) => level === 'problem')) return 'problem'
  return all.some(({ level }) => level === 'note') ? 'note' : 'ok'
}
