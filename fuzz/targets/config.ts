import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { ConfigError, loadConfig, parseConfig } from '../../src/config/config.ts'
import { layEnvironment, variableName } from '../../src/config/environment.ts'
import { everyKey } from '../../src/config/tree.ts'
import { readYaml } from '../../src/config/yaml.ts'
import { outcome } from '../outcome.ts'
import { BrokenPropertyError, tokens, type Target } from '../target.ts'

/** Between the file and the variables. */
const MARK = '\n---env---\n'
const ROOT = join(import.meta.dirname, '../..')

/** The configuration: its file, and below a mark lines of variables. */
export const config: Target = {
  name: 'config',
  errors: [ConfigError],
  maxLength: 16_384,
  // It is read once, and of who runs the gateway: YAML within YAML takes its time.
  slowMs: 5_000,
  dictionary: tokens(
    MARK,
    ...[...everyKey()].map(({ path }) => `${variableName(path)}=`),
    ...[...everyKey()].map(({ path }) => `${String(path.at(-1))}: `),
    ...[
      'archives:',
      '\n  - ',
      '\n    ',
      '&a ',
      '*a',
      '<<: *a',
      '{',
      '}',
      '[',
      ']',
      ': ',
      '!!binary ',
      '!!js ',
      '%YAML 1.2',
      '--- ',
      '"',
      "'",
    ],
    ...[
      '|\n',
      '>\n',
      '#',
      '\t',
      '1e400',
      '.nan',
      '.inf',
      '0x10',
      '~',
      'null',
      'true',
      '10s',
      '1GiB',
      '__proto__: ',
      'constructor: ',
      '? ',
    ],
  ),
  async seeds() {
    const archive = 'archives:\n  - aeTitle: PACS\n    host: 127.0.0.1\n    port: 104\n'
    return [
      readFileSync(join(ROOT, 'dimsegate.example.yaml')),
      ...tokens(
        archive,
        `${archive}${MARK}DIMSEGATE_ARCHIVES__0__PORT=11112\nDIMSEGATE_ARCHIVES__1__HOST=other`,
        `a: &a {x: 1}\nb: [*a, *a]\n<<: *a\n`,
        `${archive}    name: a\n    retrieve: move\n    tls: {ca: a, cert: b}\n  - {aeTitle: PACS, host: b, port: 1, name: a}\ndimse: {enabled: false}\n`,
        `${archive}    delivery: {from: [192.0.2.0/24, '::1']}\nhttp: {publicUrl: 'https://a.example/b', cors: {origins: ['https://c.example']}}\n`,
        `{"archives": [{"aeTitle": "A", "host": "h", "port": 1}]}`,
        `${MARK}DIMSEGATE_ARCHIVES=[{aeTitle: A, host: h, port: 1}]`,
      ),
    ]
  },
  async run(input) {
    const [text = '', lines = ''] = input.toString('utf8').split(MARK)
    const yaml = readYaml(text)
    const env = Object.fromEntries(
      lines.split('\n').map((line): [string, string] => [line.split('=', 1)[0]!, line.replace(/^[^=]*=?/, '')]),
    )
    const overlay = layEnvironment(yaml.faults.length === 0 ? (yaml.value ?? {}) : {}, env)
    for (const fault of overlay.faults) {
      if (fault.path === '') throw new BrokenPropertyError('A fault without a path')
    }
    yaml.lineOf(['archives', 0, 'port'])
    try {
      outcome([ConfigError], () => JSON.stringify(parseConfig(overlay.value)))
      await loadConfig({ env: { ...env, DIMSEGATE_CONFIG: '' } })
    } finally {
      if (Object.keys(Object.prototype).length > 0) throw new BrokenPropertyError('All objects have been given a key')
    }
  },
}
