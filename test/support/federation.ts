import { DemoArchive, type DemoArchiveOptions } from '../../src/demo/demo-archive.ts'
import { Attribute } from '../../src/dicom/attributes.ts'
import type { Bytes } from '../../src/dicom/bytes.ts'
import type { Dataset } from '../../src/dicom/dataset.ts'
import type { Gateway } from '../../src/gateway.ts'
import { instanceFile, type InstanceOptions } from './dicom-files.ts'
import { startGatewayFor } from './gateway.ts'

/** An archive of a federation. */
export interface Member {
  readonly files: readonly Bytes[]
  readonly archive?: DemoArchiveOptions
  /** As in the configuration; `patients.issuer` is GENERAL unless told. */
  readonly config?: { readonly patients?: object }
}

export interface FederationSetup<N extends string> extends AsyncDisposable {
  readonly gateway: Gateway
  readonly archives: Readonly<Record<N, DemoArchive>>
  /** URL of the root over all of them. */
  readonly all: string
  /** URL of the root of one. */
  of(name: N): string
}

export interface FederationOptions {
  readonly federation?: object
  readonly cache?: object
  readonly http?: object
  readonly others?: object
}

/** Demo archives by their names, in order, and a gateway that has them as one. */
export async function startFederation<const N extends string>(
  members: Readonly<Record<N, Member>>,
  { federation = {}, cache, http, others }: FederationOptions = {},
): Promise<FederationSetup<N>> {
  const archives = {} as Record<N, DemoArchive>
  const configs: object[] = []
  for (const [name, { files, archive, config = {} }] of Object.entries<Member>(members) as [N, Member][]) {
    const one = await DemoArchive.start({ aeTitle: name.toUpperCase(), ...archive })
    for (const file of files) await one.put(file)
    archives[name] = one
    const { aeTitle, port } = one
    configs.push({ aeTitle, host: '127.0.0.1', port, ...config, patients: { issuer: 'GENERAL', ...config.patients } })
  }
  const gateway = await startGatewayFor(configs, http, cache, { federation, ...others })
  return {
    gateway,
    archives,
    all: `${gateway.url}/all`,
    of: (name) => `${gateway.url}/aets/${name.toUpperCase()}`,
    [Symbol.asyncDispose]: async () => {
      await gateway[Symbol.asyncDispose]()
      for (const archive of Object.values<DemoArchive>(archives)) await archive[Symbol.asyncDispose]()
    },
  }
}

export interface PatientOptions extends InstanceOptions {
  readonly patient?: string
  readonly issuer?: string
  readonly name?: string
  readonly date?: string
}

/** A file of a patient's instance. */
export function fileOf({ patient, issuer, name, date, change, ...options }: PatientOptions): Buffer {
  const changed = (dataset: Dataset): void => {
    if (patient !== undefined) dataset.set(Attribute.PatientID, patient === '' ? [] : patient)
    if (issuer !== undefined) dataset.set(Attribute.IssuerOfPatientID, issuer)
    if (name !== undefined) dataset.set(Attribute.PatientName, name)
    if (date !== undefined) dataset.set(Attribute.StudyDate, date)
    change?.(dataset)
  }
  return instanceFile({ ...options, change: changed })
}

/** Files of a study: so many instances in each of its series. */
export function studyFiles(
  study: string,
  series: Readonly<Record<string, readonly number[]>>,
  options: PatientOptions = {},
): Buffer[] {
  return Object.entries(series).flatMap(([name, numbers]) =>
    numbers.map((number) =>
      fileOf({ ...options, study, series: `${study}.${name}`, instance: `${study}.${name}.${number}` }),
    ),
  )
}
