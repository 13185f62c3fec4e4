/** Characters of a piece, about: what is made of a data set before others have their turn. */
const PIECE_CHARACTERS = 16_384

/** Text that grows, and is handed on in pieces. */
export class GrowingText {
  #text = ''

  add(text: string): void {
    this.#text += text
  }

  get isFull(): boolean {
    return this.#text.length >= PIECE_CHARACTERS
  }

  take(): string {
    const text = this.#text
    this.#text = ''
    return text
  }
}

/** The pieces of what `write` adds to a text; it yields whenever the text is full. */
export function* textPieces(write: (text: GrowingText) => Generator<undefined>): Generator<string> {
  const text = new GrowingText()
  for (const _ of write(text)) yield text.take()
  yield text.take()
}
