/** A sequence is written so that its items cannot be read: what is to be changed in them would not be seen. */
export class UnreadableItemsError extends Error {
  readonly code = 'UNREADABLE_ITEMS'
  constructor() {
    super('An instance that is to be changed has a sequence whose items cannot be read')
    this.name = 'UnreadableItemsError'
  }
}

/** Behind the pixel data there is what has its place in front of it (PS3.5 7.1): it was not looked at, nor changed. */
export class MisplacedElementError extends Error {
  readonly code = 'MISPLACED_ELEMENT'
  constructor() {
    super('An instance that is to be changed has attributes behind its pixel data whose place is in front of it')
    this.name = 'MisplacedElementError'
  }
}
