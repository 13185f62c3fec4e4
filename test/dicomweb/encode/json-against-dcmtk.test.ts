import { readFile } from 'node:fs/promises'
import { describe, expect, it } from 'vitest'
import { DatasetReader } from '../../../src/dicom/dataset-codec.ts'
import { readPart10 } from '../../../src/dicom/part10.ts'
import { inflate } from '../../../src/dicom/recode.ts'
import { encodeJson } from '../../../src/dicomweb/encode/json.ts'
import { streamOf } from '../../support/byte-stream.ts'
import {
  dcm2json,
  jsonDifferences,
  skipWithoutDcm2json,
  withoutFragments,
  type JsonDataset,
} from '../../support/dcm2json.ts'
import { daikonFiles, testdataFiles } from '../../support/testdata.ts'

// Every file that dcm2json can read, attribute by attribute.

const folders = ['charset', 'ct-3slice', 'dcmqi', 'pydicom', 'wg04'] as const
const files = [...daikonFiles(), ...folders.flatMap(testdataFiles)]

describe.skipIf(skipWithoutDcm2json())('DICOM JSON and dcm2json of DCMTK', () => {
  let compared = 0
  let offered = 0

  it.each(files.map((file) => [file.split('/').slice(-2).join('/'), file]))('agree on %s', async (_, file) => {
    offered++
    const bytes = await readFile(file)
    const theirs = await dcm2json(bytes)
    if (theirs === undefined) return
    compared++
    const ours = await toJson(withoutFragments(bytes))
    expect(jsonDifferences(ours, theirs, { file })).toEqual([])
  })

  it('were compared on nearly all files: the others are broken, or in character sets that dcm2json cannot convert', () => {
    expect(offered - compared).toBeLessThanOrEqual(10)
  })
})

async function toJson(bytes: Buffer): Promise<JsonDataset> {
  const { syntax, body } = await readPart10(streamOf([bytes]))
  const reader = new DatasetReader(syntax)
  for await (const chunk of syntax.deflated ? inflate(body) : body) reader.push(chunk)
  return JSON.parse(encodeJson(reader.end())) as JsonDataset
}
