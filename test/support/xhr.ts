/**
 * As much of the browser's XMLHttpRequest as dicomweb-client uses, over fetch: a new one for each request. `response` is
 * what `responseType` says, text unless told; a failure of the network has status 0.
 */
export class XmlHttpRequest {
  readyState = 0
  status = 0
  response: unknown = null
  responseType: '' | 'text' | 'json' | 'arraybuffer' = ''
  withCredentials = false
  onreadystatechange: (() => void) | null = null
  onloadstart: (() => void) | null = null
  onloadend: (() => void) | null = null
  onprogress: ((event: { loaded: number; total: number }) => void) | null = null
  #method = ''
  #url = ''
  #answered = new Headers()
  readonly #asked = new Headers()

  open(method: string, url: string): void {
    this.#method = method.toUpperCase()
    this.#url = url
    this.#changeTo(1)
  }

  setRequestHeader(name: string, value: string): void {
    this.#asked.append(name, value)
  }

  getResponseHeader(name: string): string | null {
    return this.#answered.get(name)
  }

  getAllResponseHeaders(): string {
    return [...this.#answered].map(([name, value]) => `${name}: ${value}\r\n`).join('')
  }

  send(body?: ArrayBuffer | string): void {
    void this.#send(body)
  }

  async #send(body: ArrayBuffer | string | undefined): Promise<void> {
    this.onloadstart?.()
    try {
      const init = { method: this.#method, headers: this.#asked, ...(body !== undefined && { body }) }
      const response = await fetch(this.#url, init)
      const bytes = await response.arrayBuffer()
      this.#answered = response.headers
      this.status = response.status
      this.response = this.#read(bytes)
      this.onprogress?.({ loaded: bytes.byteLength, total: bytes.byteLength })
    } catch {
      this.status = 0
    }
    this.#changeTo(4)
    this.onloadend?.()
  }

  #read(bytes: ArrayBuffer): unknown {
    if (this.responseType === 'arraybuffer') return bytes
    const text = new TextDecoder().decode(bytes)
    if (this.responseType !== 'json') return text
    try {
      return JSON.parse(text) as unknown
    } catch {
      return null
    }
  }

  #changeTo(state: number): void {
    this.readyState = state
    this.onreadystatechange?.()
  }
}
