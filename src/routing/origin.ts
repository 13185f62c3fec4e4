/** How an instance came to us. */
export interface Origin {
  readonly source: 'device' | 'stow'
  /** Name of the device. */
  readonly device?: string | undefined
  /** Name of the archive whose root it was sent to. */
  readonly archive?: string | undefined
  readonly callingAeTitle?: string | undefined
  readonly calledAeTitle?: string | undefined
  readonly address?: string | undefined
  /** UID, as it came. */
  readonly transferSyntax: string
}
