import { readFile } from 'node:fs/promises'
import { splitPart10 } from '../test/support/part10.ts'
import type { BenchStudy } from './data.ts'

/**
 * Whether files are those of a study, each once, with the same pixels. Archives write headers anew, so only the end of
 * a file, the pixel data, is compared.
 * @throws when they are not
 */
export async function checkFiles(
  files: readonly Buffer[],
  { files: originals, pixelBytes }: BenchStudy,
): Promise<void> {
  const given = new Map(files.map((file) => [splitPart10(file).sopInstance, file]))
  if (files.length !== originals.length) throw new Error(`${files.length} of ${originals.length} instances came`)
  for (const path of originals) {
    const original = await readFile(path)
    const { sopInstance } = splitPart10(original)
    const file = given.get(sopInstance)
    if (!file) throw new Error(`${sopInstance} did not come`)
    if (!file.subarray(-pixelBytes).equals(original.subarray(-pixelBytes)))
      throw new Error(`${sopInstance} came changed`)
  }
}
