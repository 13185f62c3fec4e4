import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** A key and a certificate that signs itself. */
export interface Certificate extends Disposable {
  /** PEM texts. */
  readonly key: string
  readonly cert: string
  /** The same as files, in a folder that is removed with it. */
  readonly files: { readonly key: string; readonly cert: string }
}

/** Makes a certificate for a host name; undefined where there is no openssl. */
export function certificateFor(name: string): Certificate | undefined {
  const folder = mkdtempSync(join(tmpdir(), 'dimsegate-tls-'))
  const remove = (): void => rmSync(folder, { recursive: true, force: true })
  const files = { key: join(folder, 'key.pem'), cert: join(folder, 'cert.pem') }
  const names = ['-subj', `/CN=${name}`, '-addext', `subjectAltName=DNS:${name}`]
  const kind = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2']
  const out = ['-keyout', files.key, '-out', files.cert]
  try {
    execFileSync('openssl', ['req', '-x509', ...kind, ...names, ...out], { stdio: 'ignore' })
    const [key, cert] = [readFileSync(files.key, 'latin1'), readFileSync(files.cert, 'latin1')]
    return { key, cert, files, [Symbol.dispose]: remove }
  } catch {
    remove()
    return undefined
  }
}
