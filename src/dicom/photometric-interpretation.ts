import { Attribute } from './attributes.ts'
import type { Dataset } from './dataset.ts'

/** As the standard writes it: some writers use small letters. */
export function photometricInterpretationOf(dataset: Dataset): string | undefined {
  return dataset.string(Attribute.PhotometricInterpretation)?.toUpperCase()
}

/** Two pixels share their chrominance: a native frame has two samples a pixel (PS3.3 C.7.6.3.1.2). */
export function sharesChrominance(photometricInterpretation: string | undefined): boolean {
  return photometricInterpretation === 'YBR_FULL_422' || photometricInterpretation === 'YBR_PARTIAL_422'
}
