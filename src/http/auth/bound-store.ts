import type { Bytes, ByteStream } from '../../dicom/bytes.ts'
import { MalformedDataSetError } from '../../dicom/element-reader.ts'
import { isNameable } from '../../dicom/uids.ts'
import type { Instance } from '../../pacs/instance.ts'
import type { HttpContext } from '../context.ts'
import { patientOf } from './study-patients.ts'
import { isExactly, isOf } from './within-binding.ts'

/**
 * Whether who is bound to a patient or a study may store an instance: it is of that, by its own attributes and, where its
 * study is in the archive already, by what that says. `pause` is called before the archive is asked.
 * @throws what a search throws
 */
export async function mayStore(c: HttpContext, instance: Instance, pause: () => void): Promise<boolean> {
  const { archive, patients, principal, signal } = c.var
  const { binding } = principal
  if (!binding) return true
  const { study, series, sopInstance, index } = instance
  // What has a NUL, a wildcard or several values for its study may be of another's study to the archive.
  if (!index.hasOneIdentity || ![study, series, sopInstance].every(isNameable)) return false
  if (binding.study !== undefined && binding.study !== study) return false
  if (binding.patient === undefined) return true
  if (!isOf(c, archive, patientOf(index.attributes), binding)) return false
  if (c.var.federated) {
    pause()
    const { copies, failures } = await c.var.federated.federation.copies.of(study, signal)
    return failures.length === 0 && copies.every(({ row }) => isExactly(patientOf(row), binding))
  }
  if (!patients.isKnown(archive, study)) pause()
  const known = await patients.of(archive, study, signal)
  return known === undefined || isOf(c, archive, known, binding)
}

/** An instance that says nothing twice: which of the two another reader takes, nobody can tell. Fails where it does. */
export function unambiguous(instance: Instance): Instance {
  return { ...instance, body: ascending(instance) }
}

async function* ascending({ index, body }: { index: Instance['index']; body: ByteStream }): AsyncGenerator<Bytes> {
  for await (const chunk of body) {
    if (!index.ascends) throw new MalformedDataSetError('Elements that are not in the order of their tags', 0)
    yield chunk
  }
}
