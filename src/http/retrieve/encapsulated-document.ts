import type { CachedInstance } from '../../cache/cached-instance.ts'
import { Attribute } from '../../dicom/attributes.ts'
import { isMediaType } from '../../dicomweb/negotiate/content-type.ts'

/** What an encapsulated document says of itself, which stands behind it (PS3.3 C.24.2). */
export async function encapsulatedDocument(
  instance: CachedInstance,
): Promise<{ readonly type: string | undefined; readonly length: number | undefined }> {
  await instance.until(({ complete }) => complete)
  const { attributes } = instance.index
  const type = attributes.string(Attribute.MIMETypeOfEncapsulatedDocument)?.toLowerCase()
  return {
    type: type !== undefined && isMediaType(type) ? type : undefined,
    length: attributes.number(Attribute.EncapsulatedDocumentLength),
  }
}
