/**
 * The files of others that are kept in this repository, byte by byte as they were published: node scripts/vendored.ts
 * holds them to their digests, node scripts/vendored.ts fetch brings them anew from their packages (by npm, tar, apt-get
 * and dpkg-deb).
 */
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, dirname, join, resolve } from 'node:path'

const ROOT = resolve(import.meta.dirname, '..')

export interface Vendored {
  /** From the root of the repository. */
  readonly file: string
  /** SHA-256, in hexadecimal. */
  readonly digest: string
  readonly registry: 'npm' | 'debian'
  readonly name: string
  readonly version: string
  /** Within the package. */
  readonly path: string
  /** By SPDX, of all that is in the file; the texts are in LICENSES.txt beside it. */
  readonly licence: string
}

export const VENDORED: readonly Vendored[] = [
  {
    file: 'vendor/dcmjs-codecs/dcmjs-native-codecs.wasm',
    digest: 'dff1bc9b3872588c231ea90894f05e7eacd7f5074b9db964e64e7f3f29821d30',
    registry: 'npm',
    name: 'dcmjs-codecs',
    version: '0.0.8',
    path: 'build/dcmjs-native-codecs.wasm',
    licence: 'MIT AND IJG AND BSD-3-Clause AND BSD-2-Clause',
  },
  {
    file: 'fonts/DejaVuSans.ttf',
    digest: '7da195a74c55bef988d0d48f9508bd5d849425c1770dba5d7bfc6ce9ed848954',
    registry: 'npm',
    name: 'dejavu-fonts-ttf',
    version: '2.37.3',
    path: 'ttf/DejaVuSans.ttf',
    licence: 'Bitstream-Vera',
  },
  {
    file: 'fonts/NotoSansThai.ttf',
    digest: '9acb585d8662ca4ed1b1cf5889dfa1393f8555103b3986e1ea1e3af4faef70bd',
    registry: 'npm',
    name: '@expo-google-fonts/noto-sans-thai',
    version: '0.4.2',
    path: '400Regular/NotoSansThai_400Regular.ttf',
    licence: 'OFL-1.1',
  },
  {
    file: 'fonts/NotoSansDevanagari.ttf',
    digest: '084a94d89eb54aafb93a056e15425c34fd859f6342875165d304837b3bcfc2d2',
    registry: 'npm',
    name: '@expo-google-fonts/noto-sans-devanagari',
    version: '0.4.1',
    path: '400Regular/NotoSansDevanagari_400Regular.ttf',
    licence: 'OFL-1.1',
  },
  {
    file: 'fonts/wqy-microhei.ttc',
    digest: '2420e8078af796b19a3f6ef13de527a1a91c1e7171eea115926c614ced1009b3',
    registry: 'debian',
    name: 'fonts-wqy-microhei',
    version: '0.2.0-beta-3.1',
    path: 'usr/share/fonts/truetype/wqy/wqy-microhei.ttc',
    licence: 'Apache-2.0',
  },
]

/** Whether bytes are those that were published. */
export function isAsPublished(bytes: Uint8Array, { digest }: Vendored): boolean {
  return createHash('sha256').update(bytes).digest('hex') === digest
}

function fetched({ registry, name, version, path }: Vendored): Uint8Array {
  const folder = mkdtempSync(join(tmpdir(), 'dimsegate-vendored-'))
  const run = (program: string, ...args: readonly string[]): string =>
    execFileSync(program, args, { cwd: folder, encoding: 'utf8' })
  try {
    if (registry === 'npm') {
      const archive = run('npm', 'pack', '--silent', `${name}@${version}`).trim()
      run('tar', '-xzf', basename(archive), `package/${path}`)
      return readFileSync(join(folder, 'package', path))
    }
    run('apt-get', 'download', '-qq', `${name}=${version}`)
    run('sh', '-c', 'dpkg-deb -x *.deb .')
    return readFileSync(join(folder, path))
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

if (import.meta.main) {
  const isFetching = process.argv[2] === 'fetch'
  for (const one of VENDORED) {
    const place = join(ROOT, one.file)
    const bytes = isFetching ? fetched(one) : readFileSync(place)
    if (!isAsPublished(bytes, one)) {
      process.stderr.write(`${one.file} is not what ${one.name} ${one.version} had in ${one.path}\n`)
      process.exitCode = 1
    } else if (isFetching) {
      mkdirSync(dirname(place), { recursive: true })
      writeFileSync(place, bytes)
    }
  }
  if (process.exitCode !== 1) process.stdout.write(`${VENDORED.length} files are as they were published.\n`)
}
