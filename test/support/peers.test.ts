import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { basename, join, relative, sep } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { promisify } from 'node:util'
import { describe, expect, it } from 'vitest'
import { startDcmqrscp } from './dcmqrscp.ts'
import { startOrthanc } from './orthanc.ts'
import { type RealPeer, requireProgram, skipWithoutPeers } from './peers.ts'
import { freePort } from './ports.ts'
import { isGroupAlive, startProcess } from './process.ts'
import { Restartable } from './restartable.ts'
import { daikonFiles } from './testdata.ts'

const RLE_STUDY = '1.3.6.1.4.1.5962.1.2.1.20031208063649.855'
const RLE_SYNTAX = '1.2.840.10008.1.2.5'
const EXPLICIT_LE = '1.2.840.10008.1.2.1'
const BIG_ENDIAN = '1.2.840.10008.1.2.2'
const BIG_ENDIAN_STUDY = '0.0.0.0.2.8811.20010413115754.12432'
const FILES = daikonFiles().filter((file) => ['rle.dcm', 'explicit_big.dcm'].includes(basename(file)))

// getscu offers each class one context: dcmqrscp (association 'all') takes the stored syntax in it, Orthanc Explicit LE.
const PEERS = [
  {
    name: 'dcmqrscp',
    start: () => startDcmqrscp({ files: FILES, association: 'all' }),
    given: { rle: RLE_SYNTAX, bigEndian: BIG_ENDIAN },
  },
  { name: 'Orthanc', start: () => startOrthanc({ files: FILES }), given: { rle: EXPLICIT_LE, bigEndian: EXPLICIT_LE } },
]

describe.skipIf(skipWithoutPeers()).each(PEERS)('$name', ({ start, given }) => {
  it('answers C-ECHO and C-FIND, gives what it was loaded with, and leaves nothing behind', async () => {
    const peer = await start()
    try {
      expect(peer.refused).toEqual([])
      await tool('echoscu', '-aec', peer.aeTitle, peer.host, String(peer.port))
      expect(await findStudies(peer)).toEqual([BIG_ENDIAN_STUDY, RLE_STUDY])
      expect(await getStudy(peer, RLE_STUDY, '+xr')).toEqual([given.rle])
      expect(await getStudy(peer, BIG_ENDIAN_STUDY, '+xe')).toEqual([given.bigEndian])
    } finally {
      await peer[Symbol.asyncDispose]()
    }
    expectNothingLeft(peer)
  })

  it('ends the associations still open when it is disposed', async () => {
    const peer = await start()
    const open = tool(
      'storescu',
      '--repeat',
      '10000',
      '-aec',
      peer.aeTitle,
      peer.host,
      String(peer.port),
      ...FILES.slice(0, 1),
    )
    const ended = open.then(
      () => 'completed',
      () => 'failed',
    )
    await new Promise((resolve) => setTimeout(resolve, 300))
    await peer[Symbol.asyncDispose]()
    expect(await ended).toBe('failed')
    expectNothingLeft(peer)
  })
})

describe.skipIf(skipWithoutPeers())('dcmqrscp', () => {
  it('gives only uncompressed objects without an association configuration', async () => {
    await using peer = await startDcmqrscp({ files: FILES })
    expect(await getStudy(peer, RLE_STUDY, '+xr')).toEqual([])
    expect(await getStudy(peer, BIG_ENDIAN_STUDY, '+xe')).toEqual([EXPLICIT_LE])
  })

  it('keeps an object that comes compressed over C-STORE as it came', async () => {
    await using peer = await startDcmqrscp({ association: 'all' })
    const [rle = ''] = FILES.filter((file) => file.endsWith('rle.dcm'))
    await tool('storescu', '-xr', '-aec', peer.aeTitle, peer.host, String(peer.port), rle)
    expect(await findStudies(peer)).toEqual([RLE_STUDY])
    const stored = (await readdir(peer.folder)).filter((name) => name.startsWith('CT'))
    expect(await syntaxes(stored.map((name) => join(peer.folder, name)))).toEqual([RLE_SYNTAX])
  })

  it('sends to the C-MOVE destinations it was told', async () => {
    await using destination = await startDcmqrscp({ aeTitle: 'DESTINATION', association: 'all' })
    await using peer = await startDcmqrscp({ files: FILES, association: 'all', peers: [destination] })
    await tool(
      'movescu',
      '-S',
      '-aec',
      peer.aeTitle,
      '-aem',
      'DESTINATION',
      ...studyKeys(RLE_STUDY),
      peer.host,
      String(peer.port),
    )
    expect(await findStudies(destination)).toEqual([RLE_STUDY])
  })

  it('rejects one association more than it is allowed', async () => {
    await using peer = await startDcmqrscp({ maxAssociations: 0 })
    await expect(tool('echoscu', '-aec', peer.aeTitle, peer.host, String(peer.port))).rejects.toThrow(
      'Rejected Transient',
    )
  })

  it('reports the files it cannot read', async () => {
    await using peer = await startDcmqrscp({ files: [...FILES, import.meta.filename] })
    expect(peer.refused).toEqual([{ file: import.meta.filename, why: 'cannot load dicom file' }])
    expect(await findStudies(peer)).toEqual([BIG_ENDIAN_STUDY, RLE_STUDY])
  })
})

describe.skipIf(skipWithoutPeers())('Orthanc', () => {
  it('answers QIDO-RS when asked to load DICOMweb', async () => {
    await using peer = await startOrthanc({ files: FILES, dicomWeb: true })
    const response = await fetch(`http://127.0.0.1:${peer.httpPort}/dicom-web/studies`)
    expect(response.status).toBe(200)
    expect(await response.json()).toHaveLength(2)
  })

  it('sends to the C-MOVE destinations it was told', async () => {
    await using destination = await startDcmqrscp({ aeTitle: 'DESTINATION', association: 'all' })
    await using peer = await startOrthanc({ files: FILES, peers: [destination] })
    await tool(
      'movescu',
      '-S',
      '-aec',
      peer.aeTitle,
      '-aem',
      'DESTINATION',
      ...studyKeys(RLE_STUDY),
      peer.host,
      String(peer.port),
    )
    expect(await findStudies(destination)).toEqual([RLE_STUDY])
  })

  it('reports the files it refuses', async () => {
    await using peer = await startOrthanc({ files: [import.meta.filename] })
    expect(peer.refused).toEqual([{ file: import.meta.filename, why: 'Bad file format' }])
  })
})

describe('freePort', () => {
  it('never gives the same port twice', async () => {
    const ports = await Promise.all(Array.from({ length: 200 }, freePort))
    expect(new Set(ports).size).toBe(200)
  })
})

describe('startProcess', () => {
  it('says how a program ended that never listened, with its last output', async () => {
    const script = 'console.log("one"); console.error("no such configuration"); process.exit(3)'
    await expect(startProcess(process.execPath, { args: ['-e', script], ports: [await freePort()] })).rejects.toThrow(
      /ended before it listened \(exit code 3\).*\n(one\n)?no such configuration/,
    )
  })

  it('ends a program that does not listen in time', async () => {
    const script = 'console.log(process.pid); setInterval(() => {}, 1000)'
    const started = startProcess(process.execPath, { args: ['-e', script], ports: [await freePort()], deadline: 500 })
    const error = await started.catch((reason: unknown) => reason)
    expect(String(error)).toMatch(/did not listen on \d+ within 500 ms/)
    expect(isGroupAlive(Number(/(\d+)$/.exec(String(error))?.[1]))).toBe(false)
  })

  it('kills a program that ignores SIGTERM', { timeout: 10_000 }, async () => {
    const port = await freePort()
    const script = `process.on('SIGTERM', () => {}); require('node:net').createServer().listen(${port})`
    const running = await startProcess(process.execPath, { args: ['-e', script], ports: [port] })
    await running.stop()
    expect(isGroupAlive(running.pid)).toBe(false)
  })

  it('says that there is no such program', async () => {
    await expect(startProcess('/no/such/program', { ports: [await freePort()] })).rejects.toThrow('/no/such/program')
  })
})

describe('Restartable', () => {
  const ECHO = 'require("node:net").createServer((socket) => socket.on("error", () => {}).pipe(socket))'

  it('kills a program, and starts it again on the same port', async () => {
    const port = await freePort()
    const args = ['-e', `process.on("SIGTERM", () => {}); ${ECHO}.listen(${port})`]
    await using program = await Restartable.start(() => startProcess(process.execPath, { args, ports: [port] }))
    const { pid } = program
    await program.kill()
    expect(isGroupAlive(pid)).toBe(false)
    await program.restart()
    expect(program.pid).not.toBe(pid)
    expect(await echo(port, 'again')).toBe('again')
  })

  it('freezes a program, and ends it while it is frozen', { timeout: 10_000 }, async () => {
    const port = await freePort()
    const args = ['-e', `${ECHO}.listen(${port})`]
    const program = await Restartable.start(() => startProcess(process.execPath, { args, ports: [port] }))
    program.freeze()
    const answer = echo(port, 'late')
    expect(await Promise.race([answer, delay(200, 'nothing yet')])).toBe('nothing yet')
    program.thaw()
    expect(await answer).toBe('late')
    program.freeze()
    await program[Symbol.asyncDispose]()
    expect(isGroupAlive(program.pid)).toBe(false)
  })
})

/** What comes back first for a text that is sent to a port. */
async function echo(port: number, text: string): Promise<string> {
  const socket = connect({ port, host: '127.0.0.1' })
  try {
    socket.write(text)
    const [chunk] = (await once(socket, 'data')) as [Buffer]
    return chunk.toString()
  } finally {
    socket.destroy()
  }
}

async function tool(name: string, ...args: string[]): Promise<string> {
  const { stdout, stderr } = await promisify(execFile)(requireProgram(name), args)
  return stdout + stderr
}

function studyKeys(study: string): string[] {
  return ['-k', 'QueryRetrieveLevel=STUDY', '-k', `StudyInstanceUID=${study}`]
}

async function findStudies(peer: RealPeer): Promise<string[]> {
  const output = await tool('findscu', '-S', '-aec', peer.aeTitle, ...studyKeys(''), peer.host, String(peer.port))
  return [...output.matchAll(/\(0020,000d\) UI \[([\d.]+)/g)].map((match) => match[1] ?? '').sort()
}

/** The transfer syntaxes of the instances that getscu received, with the preference it was told. */
async function getStudy(peer: RealPeer, study: string, preference: string): Promise<string[]> {
  const folder = await mkdtemp(join(tmpdir(), 'dimsegate-getscu-'))
  try {
    const args = ['-S', preference, '+B', '-od', folder, '-aec', peer.aeTitle, ...studyKeys(study)]
    await tool('getscu', ...args, peer.host, String(peer.port)).catch(() => undefined) // it fails when a sub-operation did
    const received = (await readdir(folder)).map((name) => join(folder, name))
    return await syntaxes(received)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

async function syntaxes(files: readonly string[]): Promise<string[]> {
  if (files.length === 0) return []
  const dump = await tool('dcmdump', '-Un', '+P', '0002,0010', ...files)
  return [...dump.matchAll(/UI \[([\d.]+)/g)].map((match) => match[1] ?? '')
}

function expectNothingLeft(peer: RealPeer): void {
  expect(isGroupAlive(peer.pid)).toBe(false)
  const [name = ''] = relative(tmpdir(), peer.folder ?? '').split(sep)
  expect(name).toMatch(/^dimsegate-/)
  expect(existsSync(join(tmpdir(), name))).toBe(false)
}
