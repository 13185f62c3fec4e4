import type { Adapter, AdapterPayload } from 'oidc-provider'

/** What an OpenID provider remembers, as long as it lives. The one that it brings is shared by all of a process. */
export class OidcMemory {
  readonly #kept = new Map<string, { readonly payload: AdapterPayload; readonly until: number }>()

  /** For one model of it, as the provider asks for them. */
  readonly adapter = (model: string): Adapter => {
    const kept = this.#kept
    const find = (isIt: (payload: AdapterPayload) => boolean): AdapterPayload | undefined =>
      [...kept].find(([key, { payload }]) => key.startsWith(`${model} `) && isIt(payload))?.[1].payload
    return {
      upsert: async (id, payload, seconds) => {
        kept.set(`${model} ${id}`, { payload, until: seconds ? Date.now() + seconds * 1000 : Infinity })
      },
      find: async (id) => {
        const found = kept.get(`${model} ${id}`)
        return found && found.until > Date.now() ? found.payload : undefined
      },
      findByUid: async (uid) => find((payload) => payload.uid === uid),
      findByUserCode: async (code) => find((payload) => payload.userCode === code),
      consume: async (id) => {
        const found = kept.get(`${model} ${id}`)
        if (found) found.payload.consumed = Math.floor(Date.now() / 1000)
      },
      destroy: async (id) => {
        kept.delete(`${model} ${id}`)
      },
      revokeByGrantId: async (grantId) => {
        for (const [key, { payload }] of kept) if (payload.grantId === grantId) kept.delete(key)
      },
    }
  }
}
