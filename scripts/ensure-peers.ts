// Run before the tests: makes sure that the real archives they talk to are installed, and what else of others they need. Where it cannot install them it says
// what will be skipped; under CI=true that is a failure.
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { findProgram } from '../test/support/peers.ts'

const PROGRAMS = ['dcmqrscp', 'dcm2json', 'Orthanc', 'rsyslogd', 'xmllint', 'redis-server']
const PACKAGES = ['dcmtk', 'orthanc', 'orthanc-dicomweb', 'rsyslog', 'rsyslog-gnutls', 'libxml2-utils', 'redis-server']

let missing = missingPrograms()
if (missing.length > 0 && canInstall()) {
  install()
  missing = missingPrograms()
}
if (missing.length > 0) {
  const isFailure = process.env['CI'] === 'true'
  console.error(explain(missing, isFailure))
  if (isFailure) process.exitCode = 1
}

function missingPrograms(): string[] {
  return PROGRAMS.filter((name) => findProgram(name) === undefined)
}

/** Debian and what descends from it, as root. */
function canInstall(): boolean {
  return process.getuid?.() === 0 && existsSync('/etc/debian_version') && findProgram('apt-get') !== undefined
}

function install(): void {
  console.log(`Missing: ${missing.join(', ')}. Installing ${PACKAGES.join(', ')} for the tests against real archives.`)
  for (const args of [['update'], ['install', '-y', '--no-install-recommends', ...PACKAGES]]) {
    console.log(`$ apt-get ${args.join(' ')}`)
    const { status } = spawnSync('apt-get', ['-q', ...args], {
      stdio: 'inherit',
      env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive', RUNLEVEL: '1' },
    })
    // A failed update (one dead mirror) need not keep the packages from installing; a failed install is reported below.
    if (status !== 0) console.error(`apt-get ${args[0] ?? ''} failed (${String(status)})`)
  }
}

function explain(names: readonly string[], isFailure: boolean): string {
  return [
    '',
    '-'.repeat(80),
    `Not installed: ${names.join(', ')}`,
    '',
    isFailure
      ? 'The tests against real archives cannot run, and CI=true does not let them be skipped.'
      : 'The tests that need them (real archives, audit, replicas) WILL BE SKIPPED. The others run.',
    'To get them:',
    `  Debian, Ubuntu   sudo apt-get install --no-install-recommends ${PACKAGES.join(' ')}`,
    '  macOS            brew install dcmtk; Orthanc from https://www.orthanc-server.com/download.php',
    '  other            DCMTK from https://dcmtk.org, Orthanc from https://www.orthanc-server.com; both on PATH',
    '-'.repeat(80),
    '',
  ].join('\n')
}
