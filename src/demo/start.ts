import { DemoArchive } from './demo-archive.ts'
import { newUid } from '../dicom/new-uid.ts'
import type { Uid } from '../dicom/uids.ts'
import { loadSamples } from './samples.ts'
import { scheduledToday } from './scheduled.ts'
import type { StoredFile } from './stored-file.ts'
import type { Viewer } from './viewer.ts'

/** A demo archive with something in it. */
export interface Demo extends AsyncDisposable {
  readonly aeTitle: string
  readonly port: number
  /** What to do now, as text for a person. */
  introduction(url: string, viewer?: Viewer): string
}

/**
 * Starts a demo archive over a folder or file; without one over sample images.
 * @throws when the path cannot be read or holds no DICOM file
 */
export async function startDemo(path: string | undefined): Promise<Demo> {
  const archive = await DemoArchive.start({ relational: true, fuzzy: false, worklist: scheduledToday() })
  try {
    if (path === undefined) await loadSamples(archive)
    else if ((await archive.load(path)) === 0) throw new Error(`${path} holds no DICOM file`)
  } catch (error) {
    await archive[Symbol.asyncDispose]()
    throw error
  }
  return {
    aeTitle: archive.aeTitle,
    port: archive.port,
    introduction: (url, viewer) => introduction(archive, url, viewer),
    [Symbol.asyncDispose]: () => archive[Symbol.asyncDispose](),
  }
}

function introduction(archive: DemoArchive, url: string, viewer?: Viewer): string {
  const { catalog } = archive
  const example: StoredFile = catalog.example
  const { study, series, sopInstance, sopClass, path } = example
  const model = "-H 'Content-Type: application/dicom+json'"
  return `
Dimsegate serves ${catalog.size} instances of ${catalog.studies} studies from a demo archive
(AE title ${archive.aeTitle}, DIMSE at 127.0.0.1:${archive.port}) as DICOMweb at

  ${url}

Search, retrieve, store:

  curl '${url}/studies?includefield=StudyDescription'
  curl -H 'Accept: application/dicom; transfer-syntax=*' -o image.dcm '${url}/studies/${study}/series/${series}/instances/${sopInstance}'
  curl -F 'file=@${path}' '${url}/studies'

What is scheduled, what is being done, whether an image is kept safe:

  curl '${url}/modality-scheduled-procedure-steps'
  curl -i ${model} -d '${stepInProgress()}' '${url}/modality-performed-procedure-steps/${newUid()}'
  curl ${model} -d '${commitmentOf(sopClass, sopInstance)}' '${url}/commitment-requests/${newUid()}'

A picture of whom an order is for (any JPEG or PNG):

  curl -H 'Content-Type: image/png' --data-binary @picture.png '${url}/studies?accession=DEMO1'

In a browser, a study as files: ${url}/studies/${study}?accept=application/zip
${viewer ? viewerLinks(viewer, new URL(url).origin, catalog.largestStudy) : ''}
Ctrl-C stops it.
`
}

function stepInProgress(): string {
  return '{"00400252":{"vr":"CS","Value":["IN PROGRESS"]},"00400270":{"vr":"SQ","Value":[{}]}}'
}

function commitmentOf(sopClass: Uid, sopInstance: Uid): string {
  const reference = { '00081150': { vr: 'UI', Value: [sopClass] }, '00081155': { vr: 'UI', Value: [sopInstance] } }
  return JSON.stringify({ '00081199': { vr: 'SQ', Value: [reference] } })
}

function viewerLinks(viewer: Viewer, origin: string, study: string): string {
  return `
Open in a browser the list of studies, or one of them:

  ${viewer.link(origin)}
  ${viewer.link(origin, study)}
`
}
