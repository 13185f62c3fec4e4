import { STORAGE_ROOT, type Uid } from '../../dicom/uids.ts'

/**
 * The storage classes that series of a modality (PS3.3 C.7.3.1.1.1) are made of, as suffixes of STORAGE_ROOT. A guess
 * that spares a query for instances: what it misses is fetched by a second C-GET, or comes decompressed. Secondary
 * captures (7) bear the modality of what they show.
 */
const suffixes: Readonly<Record<string, readonly string[]>> = {
  CT: ['2', '2.1', '7'],
  MR: ['4', '4.1', '7'],
  PT: ['128', '130', '7'],
  NM: ['20', '7'],
  US: ['6.1', '3.1', '7'],
  CR: ['1', '7'],
  DX: ['1.1', '1.1.1', '7'],
  MG: ['1.2', '1.2.1', '13.1.3', '7'],
  IO: ['1.3', '7'],
  XA: ['12.1', '12.1.1', '7'],
  RF: ['12.2', '7'],
  OT: ['7', '7.4', '7.2', '7.3'],
  SEG: ['66.4'],
  PR: ['11.1', '11.2'],
  KO: ['88.59'],
  SR: ['88.33', '88.22', '88.11', '88.34', '88.67'],
  RTIMAGE: ['481.1'],
  RTDOSE: ['481.2'],
  RTSTRUCT: ['481.3'],
  RTPLAN: ['481.5'],
  ECG: ['9.1.1', '9.1.2'],
  ES: ['77.1.1', '77.1.1.1', '7'],
  SM: ['77.1.6'],
  GM: ['77.1.2', '7'],
  XC: ['77.1.4', '7'],
  OP: ['77.1.5.1', '77.1.5.2', '7'],
  OPT: ['77.1.5.4', '7'],
  DOC: ['104.1', '104.2'],
}

/** Likely classes of a modality; undefined when it says too little. */
export function classesOfModality(modality: string | undefined): readonly Uid[] | undefined {
  return modality === undefined ? undefined : suffixes[modality]?.map((suffix) => STORAGE_ROOT + suffix)
}
