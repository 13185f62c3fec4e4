import { accessSync, constants } from 'node:fs'
import { delimiter, join } from 'node:path'

/** A real archive started for a test: see startDcmqrscp, startOrthanc. Disposed: its processes and folder are gone. */
export interface RealPeer extends AsyncDisposable {
  readonly name: string
  readonly aeTitle: string
  readonly host: string
  readonly port: number
  readonly pid: number
  /** Where it keeps its objects. */
  readonly folder?: string
  /** Of the files it was given, those it would not have, and why in its words. */
  readonly refused: readonly RefusedFile[]
  /** The end of what it wrote, at most 64 Ki characters. */
  log(): string
}

export interface RefusedFile {
  readonly file: string
  readonly why: string
}

/** A DICOM application entity. */
export interface PeerAddress {
  readonly aeTitle: string
  readonly host: string
  readonly port: number
}

/** Whether dcmqrscp and Orthanc are installed. Tests that need them skip without, but not under CI=true. */
export function havePeers(): boolean {
  return findProgram('dcmqrscp') !== undefined && findProgram('Orthanc') !== undefined
}

/** For `describe.skipIf`: no peers, and nobody insists. Under CI=true the tests run, and so fail. */
export function skipWithoutPeers(): boolean {
  return !havePeers() && process.env['CI'] !== 'true'
}

/** The path of an executable, looked for in PATH and in the sbin folders (where Debian puts Orthanc). */
export function findProgram(name: string): string | undefined {
  const folders = [...(process.env['PATH'] ?? '').split(delimiter), '/usr/local/sbin', '/usr/sbin']
  return folders
    .filter((folder) => folder !== '')
    .map((folder) => join(folder, name))
    .find(isExecutable)
}

/** Like findProgram; throws if it is not there. */
export function requireProgram(name: string): string {
  const path = findProgram(name)
  if (path === undefined) throw new Error(`${name} is not installed: run "node scripts/ensure-peers.ts"`)
  return path
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}
