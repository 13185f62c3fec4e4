import type { Call } from '../pacs/call.ts'
import type { Instance } from '../pacs/instance.ts'
import type { StoreOutcome } from '../pacs/store.ts'

/** Where one instance is stored to. */
export interface Outlet extends AsyncDisposable {
  /** Has what it takes to store it, so that nobody waits for that once its bytes are on their way. @throws the signal's reason */
  reach(instance: Pick<Instance, 'sopClass' | 'syntax'>): Promise<void>
  /** Every fault is an outcome. @throws the signal's reason */
  store(instance: Instance): Promise<StoreOutcome>
}

/** Who it is, for logs and the audit trail. */
export interface TargetNode {
  readonly name: string
  /** Or the URL of a DICOMweb server. */
  readonly aeTitle: string
  readonly host: string
}

/** An archive, a DICOM node or a DICOMweb server that routes lead to. */
export interface Target {
  readonly node: TargetNode
  open(call: Call): Outlet
}
