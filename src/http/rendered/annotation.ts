import { Attribute } from '../../dicom/attributes.ts'
import type { Dataset } from '../../dicom/dataset.ts'
import { dateText, nameText } from '../../dicomweb/encode/report.ts'
import type { RenderedParams } from '../../dicomweb/params/rendered-params.ts'
import type { Annotation } from '../../imaging/picture/annotate.ts'

/** The attributes that an annotation is made of. */
export const ANNOTATED: ReadonlySet<number> = new Set([
  Attribute.SpecificCharacterSet,
  Attribute.PatientName,
  Attribute.PatientID,
  Attribute.PatientBirthDate,
  Attribute.PatientSex,
  Attribute.Modality,
  Attribute.StudyDate,
  Attribute.StudyTime,
  Attribute.StudyDescription,
  Attribute.SeriesNumber,
  Attribute.SeriesDescription,
  Attribute.InstanceNumber,
  Attribute.SliceThickness,
])

/** What a client wants burned into pictures of an instance (PS3.18 8.3.5.1.1); undefined where it wants nothing. */
export function annotationOf(
  attributes: Dataset,
  { annotation: { patient, technique } }: Pick<RenderedParams, 'annotation'>,
): Annotation | undefined {
  if (!patient && !technique) return undefined
  return {
    topLeft: patient ? patientLines(attributes) : [],
    bottomLeft: technique ? techniqueLines(attributes) : [],
  }
}

function patientLines(attributes: Dataset): string[] {
  const text = (tag: number): string | undefined => attributes.string(tag)
  const name = text(Attribute.PatientName)
  const birth = text(Attribute.PatientBirthDate)
  return lines([
    name && nameText(name),
    text(Attribute.PatientID),
    [birth && dateText(birth), text(Attribute.PatientSex)],
  ])
}

function techniqueLines(attributes: Dataset): string[] {
  const text = (tag: number): string | undefined => attributes.string(tag)
  const numbered = (name: string, tag: number): string | undefined => {
    const value = text(tag)
    return value && `${name} ${value}`
  }
  const date = text(Attribute.StudyDate)
  const thickness = text(Attribute.SliceThickness)
  return lines([
    [text(Attribute.Modality), text(Attribute.StudyDescription), text(Attribute.SeriesDescription)],
    [date && dateText(date), text(Attribute.StudyTime)?.replace(/^(\d{2})(\d{2}).*$/, '$1:$2')],
    [
      numbered('Series', Attribute.SeriesNumber),
      numbered('Image', Attribute.InstanceNumber),
      thickness && `${thickness} mm`,
    ],
  ])
}

function lines(parts: readonly (string | undefined | readonly (string | undefined)[])[]): string[] {
  return parts.map((part) => [part].flat().filter(Boolean).join('  ')).filter((line) => line !== '')
}
