import { Attribute } from '../../dicom/attributes.ts'
import { describeTag } from '../../dicom/dictionary.ts'
import type { Tag } from '../../dicom/tag.ts'
import type { InvalidValueError } from '../../dicom/value.ts'

/** A hierarchical search would have to ask for the children of too many studies or series. */
export class SearchTooBroadError extends Error {
  readonly code = 'SEARCH_TOO_BROAD'
  readonly maxParents: number
  constructor(maxParents: number) {
    super(`The search would visit more than ${maxParents} studies or series`)
    this.name = 'SearchTooBroadError'
    this.maxParents = maxParents
  }
}

/** What has to be held of the results until they can be given is more than may be. */
export class ResultsTooLargeError extends Error {
  readonly code = 'RESULTS_TOO_LARGE'
  readonly bytes: number
  constructor(bytes: number) {
    super(`What the archive answers to the search takes more than the ${bytes} bytes that are held of it`)
    this.name = 'ResultsTooLargeError'
    this.bytes = bytes
  }
}

/** A match attribute of a level below the one searched. */
export class KeyBelowLevelError extends Error {
  readonly code = 'KEY_BELOW_LEVEL'
  readonly tag: Tag
  constructor(t: Tag, level: 'STUDY' | 'SERIES' | 'IMAGE') {
    const found = level === 'SERIES' ? 'series: search series by it' : 'instances: search instances by it'
    const instead = t === Attribute.Modality ? ', or studies by ModalitiesInStudy' : ''
    super(`${describeTag(t)} belongs to ${found}${instead}`)
    this.name = 'KeyBelowLevelError'
    this.tag = t
  }
}

/** A key value has characters that the archive's query character set lacks. */
export class UnencodableKeyError extends Error {
  readonly code = 'UNENCODABLE_KEY'
  readonly charset: string
  constructor(charset: string, options?: ErrorOptions) {
    super(`A search value has characters outside the archive's character set ${charset}`, options)
    this.name = 'UnencodableKeyError'
    this.charset = charset
  }
}

/** A key value cannot be written in the VR of its attribute. */
export class InvalidKeyError extends Error {
  readonly code = 'INVALID_VALUE'
  constructor(cause: InvalidValueError) {
    super(cause.message, { cause })
    this.name = 'InvalidKeyError'
  }
}
