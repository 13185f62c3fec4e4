import { readFile } from 'node:fs/promises'
import type { Environment } from './environment.ts'
import { CONFIG_FILE_VARIABLE, layEnvironment } from './environment.ts'
import type { ConfigFault, Locate } from './faults.ts'
import { ConfigError, faultsOf } from './faults.ts'
import type { Config } from './schema.ts'
import { configSchema } from './schema.ts'
import { pathText } from './tree.ts'
import type { YamlText } from './yaml.ts'
import { readYaml } from './yaml.ts'

export { ConfigError } from './faults.ts'
export type { ConfigFault } from './faults.ts'
export type { ArchiveConfig, Config } from './schema.ts'

export interface ConfigSources {
  /** The file of `--config`; without it that of `DIMSEGATE_CONFIG`. */
  readonly file?: string | undefined
  readonly env: Environment
}

/**
 * The configuration from a YAML file and the environment, which goes before the file.
 * @throws {ConfigError} with every fault of both
 */
export async function loadConfig({ file, env }: ConfigSources): Promise<Config> {
  const source = file || env[CONFIG_FILE_VARIABLE]
  const content = source ? await readSource(source) : undefined
  const overlay = layEnvironment(content?.value ?? {}, env)
  if (!source && !overlay.used) throw new ConfigError([NO_ARCHIVES], { hint: HINT })

  // Keys that seem to be missing may be in the file that cannot be read: they are not reported.
  if (content && content.faults.length > 0) {
    throw new ConfigError([...content.faults, ...overlay.faults], { cause: content.cause })
  }
  const locate: Locate = (path) => {
    const variable = overlay.variableFor(path)
    if (variable !== undefined || !content?.yaml) return variable
    for (let length = path.length; length > 0; length--) {
      const line = content.yaml.lineOf(path.slice(0, length))
      if (line !== undefined) return `${source}, line ${line}`
    }
    return undefined
  }
  const result = check(overlay.value, locate)
  if (result.config && overlay.faults.length === 0) return result.config
  const known = new Set(overlay.faults.map(({ path }) => path))
  const faults = [...overlay.faults, ...result.faults.filter(({ path }) => !known.has(path))]
  const lacksArchives = result.faults.some(({ path }) => path === pathText(['archives'])) && !known.has('archives')
  throw new ConfigError(faults, lacksArchives ? { hint: HINT } : {})
}

/**
 * A configuration from a plain value shaped like the YAML file; what is left out has its default.
 * @throws {ConfigError}
 */
export function parseConfig(value: unknown): Config {
  const { config, faults } = check(value, () => undefined)
  if (!config) throw new ConfigError(faults)
  return config
}

const NO_ARCHIVES: ConfigFault = {
  path: 'archives',
  message:
    'is missing, and so is all else: there is no configuration file and no variable; expected at least one archive',
}

const HINT = `Name the archive (PACS) to talk to, in a file given by --config FILE or DIMSEGATE_CONFIG=FILE

  archives:
    - aeTitle: ORTHANC
      host: 127.0.0.1
      port: 4242

or in the environment

  DIMSEGATE_ARCHIVES__0__AETITLE=ORTHANC
  DIMSEGATE_ARCHIVES__0__HOST=127.0.0.1
  DIMSEGATE_ARCHIVES__0__PORT=4242

To look around without an archive: dimsegate demo`

function check(value: unknown, locate: Locate): { config?: Config; faults: readonly ConfigFault[] } {
  const result = configSchema.safeParse(value)
  if (result.success) return { config: deepFreeze(result.data), faults: [] }
  return { faults: faultsOf(result.error.issues, value, locate) }
}

function deepFreeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null) for (const part of Object.values(value)) deepFreeze(part)
  return Object.freeze(value)
}

interface Source {
  readonly value?: unknown
  readonly yaml?: YamlText
  readonly faults: readonly ConfigFault[]
  readonly cause?: unknown
}

async function readSource(path: string): Promise<Source> {
  let text: string
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(await readFile(path))
  } catch (cause) {
    return { faults: [{ path, message: unreadable(cause) }], cause }
  }
  const yaml = readYaml(text)
  const faults = yaml.faults.map(({ line, column, message }) => ({
    path,
    message: `is not YAML at line ${line}, column ${column}: ${message}`,
  }))
  if (faults.length > 0) return { faults }
  // An empty file, or one of comments only, says nothing.
  const value = yaml.value ?? {}
  if (typeof value === 'object' && !Array.isArray(value)) return { value, yaml, faults }
  return { faults: [{ path, message: 'does not hold keys at its top; expected archives: and others' }] }
}

function unreadable(error: unknown): string {
  switch ((error as NodeJS.ErrnoException).code) {
    case 'ENOENT':
      return 'does not exist; expected a YAML file'
    case 'EISDIR':
      return 'is a folder; expected a YAML file'
    case 'EACCES':
      return 'cannot be read: permission denied; expected a file that this user may read'
    case 'ERR_ENCODING_INVALID_ENCODED_DATA':
      return 'is not UTF-8; expected a YAML file in UTF-8'
    default:
      return `cannot be read (${(error as NodeJS.ErrnoException).code ?? 'unknown error'}); expected a YAML file`
  }
}
