import { RepositoryError } from '../audit/repository-error.ts'
import { formatStatus, StatusError } from '../dimse/status.ts'
import { WebStoreError } from '../routing/web-store-error.ts'
import { AssociationRejectedError } from '../network/errors.ts'

/** The fields of an error that are logged: codes and numbers, never its message, which may quote anything. */
export function errorFields(error: unknown): Record<string, unknown> {
  if (error === undefined) return {}
  if (!(error instanceof Error)) return { error: {} }
  const code = codeOf(error)
  return {
    error: {
      name: error.name,
      code,
      ...((error instanceof RepositoryError || error instanceof WebStoreError) && { http: error.http }),
      ...(error instanceof StatusError && { dimse: formatStatus(error.status) }),
      ...(error instanceof AssociationRejectedError && {
        reject: { result: error.result, source: error.source, reason: error.reason },
      }),
      ...(error.cause instanceof Error && { cause: causesOf(error.cause) }),
      // An error without a code is a fault of ours: where it happened is needed.
      ...(code === undefined && { where: whereOf(error) }),
    },
  }
}

/** Of those that have led to one another. */
const MAX_CAUSES = 5

/** Each by its code or kind, from the next to the last. */
function causesOf(error: Error, most = MAX_CAUSES): string {
  const name = codeOf(error) ?? error.name
  return error.cause instanceof Error && most > 1 ? `${name} < ${causesOf(error.cause, most - 1)}` : name
}

/** What tells errors apart. */
export function codeOf(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error ? String(error.code) : undefined
}

/** The frames of a stack: behind the message, which may have lines of its own. */
function whereOf({ stack = '', message }: Error): string {
  const at = stack.indexOf(message)
  const frames = at < 0 ? '' : stack.slice(at + message.length)
  return frames.split('\n').slice(1, 6).join('\n')
}
