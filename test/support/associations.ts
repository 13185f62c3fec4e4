import { Association, type AcceptOptions, type RequestOptions } from '../../src/network/association.ts'
import type { AcceptorPolicy } from '../../src/network/negotiation.ts'
import { listen, type Listening } from '../../src/network/listener.ts'
import { CT, IMPLICIT_LE, STUDY_ROOT_FIND, STUDY_ROOT_GET, VERIFICATION } from './golden.ts'
import type { ScriptedPeer } from './scripted-peer.ts'

/** Contexts 1 to 7: Verification, C-FIND, C-GET and CT, each in Implicit VR Little Endian. */
export const contexts = [VERIFICATION, STUDY_ROOT_FIND, STUDY_ROOT_GET, CT].map((abstractSyntax, index) => ({
  id: 2 * index + 1,
  abstractSyntax,
  transferSyntaxes: [IMPLICIT_LE],
}))

/** Asks a peer for an association with these contexts, in short times. */
export function requestOf(
  peer: Pick<ScriptedPeer, 'address'>,
  more: Partial<RequestOptions> = {},
  signal?: AbortSignal,
): Promise<Association> {
  const options: RequestOptions = {
    address: peer.address,
    calledAeTitle: 'PACS',
    callingAeTitle: 'GATE',
    contexts,
    maxPduLength: 65_536,
    timeouts: { connect: 5_000, associate: 5_000 },
    artim: 1_000,
    ...more,
  }
  return Association.request(options, signal)
}

/** Takes the first syntax offered for every class, and grants every role. */
export const acceptAll: AcceptorPolicy = {
  choose: (_abstractSyntax, offered) => offered[0] ?? 'transfer',
  roles: (role) => role,
}

/** A listener that accepts associations; disposal aborts those that are left. */
export class Acceptor implements AsyncDisposable {
  /** What became of each connection, in the order they came. */
  readonly outcomes: Promise<Association | undefined>[] = []
  readonly #listening: Listening
  readonly #waiting: (() => void)[] = []

  private constructor(listening: Listening) {
    this.#listening = listening
  }

  static async listen(options: Partial<AcceptOptions> = {}): Promise<Acceptor> {
    const holder: { acceptor?: Acceptor } = {}
    const listening = await listen({ host: '127.0.0.1', port: 0 }, (transport) => {
      const outcome = Association.accept(transport, {
        maxPduLength: 65_536,
        decide: () => acceptAll,
        artim: 1_000,
        ...options,
      })
      outcome.catch(() => undefined)
      holder.acceptor!.outcomes.push(outcome)
      for (const look of holder.acceptor!.#waiting.splice(0)) look()
    })
    return (holder.acceptor = new Acceptor(listening))
  }

  get port(): number {
    return this.#listening.port
  }

  get address(): { host: string; port: number } {
    return { host: '127.0.0.1', port: this.port }
  }

  /** What becomes of a connection, once it has come. */
  async outcome(index = 0): Promise<Association | undefined> {
    while (this.outcomes.length <= index) await new Promise<void>((resolve) => this.#waiting.push(resolve))
    return this.outcomes[index]
  }

  /** The association of a connection. */
  async association(index = 0): Promise<Association> {
    const association = await this.outcome(index)
    if (!association) throw new Error('No association came about')
    return association
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const outcome of await Promise.allSettled(this.outcomes)) {
      if (outcome.status === 'fulfilled') outcome.value?.abort()
    }
    await this.#listening.close()
  }
}

/** A promise's rejection as a value: for a wait that is to fail while something else goes on. */
export async function failureOf(promise: Promise<unknown>): Promise<unknown> {
  try {
    await promise
  } catch (error) {
    return error
  }
  throw new Error('It did not fail')
}
