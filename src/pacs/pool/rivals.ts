import type { Association } from '../../network/association.ts'

/** The archive has accepted none of the presentation contexts. */
export function isBarren({ contexts, requested }: Association): boolean {
  return contexts.size === 0 && requested.contexts.length > 0
}

/** Whether an association has what the archive refuses to another beside it: some take storage contexts in one at a time. */
export function isRival({ contexts }: Association, barren: Association): boolean {
  const accepted = new Set([...contexts.values()].map((one) => `${one.abstractSyntax} ${one.transferSyntax}`))
  return barren.requested.contexts.some(({ abstractSyntax, transferSyntaxes }) =>
    transferSyntaxes.some((syntax) => accepted.has(`${abstractSyntax} ${syntax}`)),
  )
}
