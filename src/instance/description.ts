import type { TransferSyntax } from '../dicom/transfer-syntax.ts'
import type { Uid } from '../dicom/uids.ts'
import type { InstanceUids } from './uids.ts'

/** What is known of an instance before its data set has been read. */
export interface InstanceDescription extends InstanceUids {
  readonly sopClass: Uid
  /** Of the data set as it is given: Explicit VR Little Endian where it is rewritten to that as it arrives. */
  readonly syntax: TransferSyntax
  /** How it came. */
  readonly received: TransferSyntax
}

/** For what has an instance's description for its own. */
export class Described implements InstanceDescription {
  readonly sopClass: Uid
  readonly sopInstance: Uid
  readonly study: Uid
  readonly series: Uid
  readonly syntax: TransferSyntax
  readonly received: TransferSyntax

  constructor({ sopClass, sopInstance, study, series, syntax, received }: InstanceDescription) {
    this.sopClass = sopClass
    this.sopInstance = sopInstance
    this.study = study
    this.series = series
    this.syntax = syntax
    this.received = received
  }
}
