import { expect, it } from 'vitest'
import { Attribute } from '../../../src/dicom/attributes.ts'
import { Dataset } from '../../../src/dicom/dataset.ts'
import { encodeDataset } from '../../../src/dicom/dataset-codec.ts'
import { EXPLICIT_VR_LITTLE_ENDIAN } from '../../../src/dicom/transfer-syntax.ts'
import { Draft } from '../../../src/routing/change/draft.ts'
import { takeSteps } from '../../../src/routing/change/steps.ts'
import { Pseudonyms } from '../../../src/routing/deidentify/pseudonyms.ts'
import { Front, MAX_FRONT_ELEMENTS } from '../../../src/routing/front.ts'
import { KEY, stepsOf } from '../../support/changed.ts'
import { instanceDataset } from '../../support/dicom-files.ts'
import { turnsDuring } from '../../support/turns-during.ts'

const SEQUENCE = Attribute.RequestAttributesSequence

it.each([
  ['a profile', { profile: 'basic' }],
  ['pseudonyms', { hash: ['RequestAttributesSequence.StudyInstanceUID'] }],
])('%s at as many attributes as are held lets others go first, again and again', async (_, step) => {
  const items = Array.from({ length: MAX_FRONT_ELEMENTS / 3 - 20 }, (_, n) =>
    new Dataset().set(Attribute.StudyInstanceUID, `1.2.${n}`).set(Attribute.SOPInstanceUID, `1.3.${n}`),
  )
  const data = encodeDataset(instanceDataset().setItems(SEQUENCE, items), EXPLICIT_VR_LITTLE_ENDIAN)
  const front = await Front.read(
    (async function* () {
      yield await Promise.resolve(data)
    })(),
    EXPLICIT_VR_LITTLE_ENDIAN,
  )
  expect(front.isWhole).toBe(true)
  const draft = new Draft(front)
  const means = { pseudonyms: new Pseudonyms(KEY), worklist: undefined as never, signal: new AbortController().signal }
  // One is between two steps.
  expect(await turnsDuring(() => takeSteps(draft, stepsOf([step]), means))).toBeGreaterThan(2)
})
