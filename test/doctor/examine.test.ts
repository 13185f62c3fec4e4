import { createServer } from 'node:net'
import { describe, expect, test } from 'vitest'
import { DemoArchive, type DemoArchiveOptions } from '../../src/demo/demo-archive.ts'
import { encapsulatedSyntaxes } from '../../src/dicom/transfer-syntax.ts'
import { SopClass } from '../../src/dicom/uids.ts'
import { eventually } from '../support/eventually.ts'
import { getResponse, readRequest } from '../support/golden.ts'
import { freePort } from '../support/ports.ts'
import { listing, ScriptedArchive, storeAll } from '../support/scripted-archive.ts'
import { sliceFile } from '../support/slices.ts'
import { examined } from './examination.ts'

const HOST = '127.0.0.1'

/** An archive with three small slices that moves to our listener at `port`. */
async function demo(port: number, options: DemoArchiveOptions = {}): Promise<DemoArchive> {
  const archive = await DemoArchive.start({
    aeTitle: 'PACS',
    destinations: { DIMSEGATE: { host: HOST, port } },
    ...options,
  })
  for (const number of [1, 2, 3]) await archive.put(sliceFile({ number }))
  return archive
}

describe('an archive that does it all', () => {
  test('has a finding for each step, and no problem', async () => {
    const port = await freePort()
    await using archive = await demo(port, { relational: true, fuzzy: true })
    const steps: string[] = []
    const result = await examined(
      { host: HOST, port: archive.port },
      {},
      { dimse: { port }, progress: (s) => steps.push(s) },
    )
    expect(result.at('problem')).toEqual([])
    expect(result.at('note')).toEqual([])
    expect(result.codes).toEqual([
      'CONNECTED',
      'ASSOCIATED',
      'RELATIONAL_GRANTED',
      'FUZZY_GRANTED',
      'ECHO_OK',
      'FIND_OK',
      'FIND_OK',
      'FIND_OK',
      'CHARSET_TAKEN',
      'GET_OK',
      'MOVE_OK',
      'STORE_ACCEPTED',
      'SERVICES_OFFERED',
      'LIMIT_OK',
    ])
    expect(result.report.level).toBe('ok')
    expect(result.report.ourHost).toBe(HOST)
    expect(steps).toHaveLength(12)
    await eventually(() => expect(archive.associations).toBe(0))
    expect(archive.retrievals).toBe(1)
    expect(archive.moves).toBe(1)
    expect(archive.catalog.size).toBe(3)
    expect(result.finding('GET_OK').facts).toMatchObject({ syntax: 'Explicit VR Little Endian', roleConfirmed: true })
    expect(result.finding('MOVE_OK').facts?.['bytes']).toBe(result.finding('GET_OK').facts?.['bytes'])
  })

  test('leaves our port free', async () => {
    const port = await freePort()
    await using archive = await demo(port)
    for (let n = 0; n < 2; n++) {
      const result = await examined({ host: HOST, port: archive.port }, {}, { dimse: { port } })
      expect(result.codes).toContain('MOVE_OK')
    }
  })

  test('of many studies only a few are read', async () => {
    const port = await freePort()
    await using archive = await demo(port)
    for (let n = 100; n < 160; n++) await archive.put(sliceFile({ study: `1.2.${n}`, series: `1.2.${n}.1` }))
    let matches = 0
    archive.faults = { onMatch: (count) => (matches = Math.max(matches, count)), findDelay: 5 }
    const result = await examined({ host: HOST, port: archive.port }, {}, { dimse: { port } })
    const [studies] = result.report.findings.filter(({ code }) => code === 'FIND_OK')
    expect(studies?.facts).toMatchObject({ level: 'STUDY', matches: 10, cut: true })
    expect(matches).toBeLessThan(60)
  })

  test('stores one synthetic image where that is asked for, and says so', async () => {
    const port = await freePort()
    await using archive = await demo(port)
    const result = await examined({ host: HOST, port: archive.port }, {}, { dimse: { port }, storeTest: true })
    const { text, facts } = result.finding('STORE_TEST_STORED')
    expect(text).toContain('WAS STORED')
    expect(archive.catalog.size).toBe(4)
    expect(archive.catalog.files.some(({ study }) => study === facts?.['study'])).toBe(true)
    archive.faults = { storeStatus: () => 0xa700 }
    const refused = await examined({ host: HOST, port: archive.port }, {}, { dimse: { port }, storeTest: true })
    expect(refused.finding('STORE_TEST_FAILED').text).toContain('A700')
  })
})

describe('C-GET and C-MOVE', () => {
  test('an archive without C-GET is well as long as C-MOVE works', async () => {
    const port = await freePort()
    await using archive = await demo(port, { faults: { acceptsClass: (uid) => uid !== SopClass.studyRootGet } })
    const result = await examined({ host: HOST, port: archive.port }, {}, { dimse: { port } })
    expect(result.at('problem')).toEqual([])
    expect(result.finding('GET_NOT_ACCEPTED')).toMatchObject({
      level: 'note',
      ask: 'Please allow the AE title DIMSEGATE at host 127.0.0.1 C-GET (Study Root Query/Retrieve - GET) on PACS.',
    })
    const getOnly = await examined({ host: HOST, port: archive.port }, { retrieve: 'get' }, { dimse: { port } })
    expect(getOnly.at('problem')).toEqual(['GET_NOT_ACCEPTED'])
  })

  test('A801 has its sentence, and is a problem where C-MOVE is needed', async () => {
    const port = await freePort()
    await using archive = await demo(port, { faults: { moveStatus: 0xa801 } })
    const result = await examined({ host: HOST, port: archive.port }, {}, { dimse: { port } })
    expect(result.finding('MOVE_DESTINATION_UNKNOWN')).toMatchObject({
      level: 'note',
      ask: `Please add the AE title DIMSEGATE at host 127.0.0.1, port ${port}, as a C-MOVE destination.`,
    })
    const needed = await examined({ host: HOST, port: archive.port }, { retrieve: 'move' }, { dimse: { port } })
    expect(needed.at('problem')).toEqual(['MOVE_DESTINATION_UNKNOWN'])
    archive.faults = { moveStatus: 0xa801, acceptsClass: (uid) => uid !== SopClass.studyRootGet }
    const neither = await examined({ host: HOST, port: archive.port }, {}, { dimse: { port } })
    expect(neither.at('problem')).toEqual(['GET_NOT_ACCEPTED', 'MOVE_DESTINATION_UNKNOWN'])
  })

  test('an archive that gives up where it cannot reach us', async () => {
    const [port, elsewhere] = [await freePort(), await freePort()]
    await using archive = await demo(elsewhere)
    const result = await examined({ host: HOST, port: archive.port }, {}, { dimse: { port } })
    expect(result.finding('MOVE_FAILED').text).toContain('the archive aborted the association')
    expect(result.finding('MOVE_FAILED').ask).toContain(`to the destination DIMSEGATE at host 127.0.0.1, port ${port}.`)
  })

  test('a C-MOVE that says it is done and brings nothing', async () => {
    const port = await freePort()
    await using archive = await demo(port, { faults: { moveStatus: 0x0000 } })
    const result = await examined({ host: HOST, port: archive.port }, {}, { dimse: { port } })
    expect(result.finding('MOVE_NOTHING_ARRIVED').ask).toBe(
      `Please check that the AE title DIMSEGATE is a C-MOVE destination at host 127.0.0.1, port ${port}, and that the archive can open a connection to it.`,
    )
  })

  test('an archive that moves under another name is told so', async () => {
    const port = await freePort()
    await using archive = await demo(port, { faults: { movesAs: 'MOVER' } })
    const result = await examined({ host: HOST, port: archive.port }, {}, { dimse: { port } })
    expect(result.finding('MOVE_CALLER_UNKNOWN').text).toContain('by the AE title MOVER at 127.0.0.1')
  })

  test('a C-MOVE that is not authorized', async () => {
    const port = await freePort()
    await using archive = await demo(port, { faults: { moveStatus: 0x0124 } })
    const result = await examined({ host: HOST, port: archive.port }, {}, { dimse: { port } })
    expect(result.finding('MOVE_FAILED').text).toContain('0124')
  })

  test('our port that is taken is a finding of its own', async () => {
    const port = await freePort()
    await using archive = await demo(port)
    const other = createServer().listen(port, '0.0.0.0')
    await new Promise((resolve) => other.once('listening', resolve))
    try {
      const result = await examined({ host: HOST, port: archive.port }, {}, { dimse: { port } })
      expect(result.finding('MOVE_PORT_TAKEN').text).toContain(`port ${port} (dimse.port)`)
      expect(result.codes).toContain('LIMIT_OK')
    } finally {
      other.close()
    }
  })

  test('a listener that is switched off', async () => {
    const port = await freePort()
    await using archive = await demo(port)
    const result = await examined({ host: HOST, port: archive.port }, {}, { dimse: { port, enabled: false } })
    expect(result.codes).toContain('MOVE_OFF')
    expect(archive.moves).toBe(0)
  })

  test('a C-GET that stalls is ended in the time of a step', async () => {
    const port = await freePort()
    await using archive = await demo(port, { faults: { stallAfterBytes: 150_000 } })
    await archive.put(sliceFile({ study: '1.2.3', series: '1.2.3.4', size: 200_000 }))
    const start = performance.now()
    const result = await examined({ host: HOST, port: archive.port }, {}, { dimse: { port }, stepTimeout: 1_000 })
    expect(result.finding('GET_FAILED').text).toMatch(/after \d+ bytes had come, .* within 1 s/)
    expect(result.codes).toContain('STORE_ACCEPTED')
    expect(performance.now() - start).toBeLessThan(10_000)
  })
})

describe('searches', () => {
  test('what does not come back is named', async () => {
    const port = await freePort()
    await using archive = await demo(port, { faults: { withoutCounts: true } })
    const result = await examined({ host: HOST, port: archive.port }, {}, { dimse: { port } })
    const missing = result.report.findings.filter(({ code }) => code === 'FIND_ATTRIBUTES_MISSING')
    expect(missing[0]?.text).toContain('ModalitiesInStudy')
    expect(result.codes).toContain('RELATIONAL_NOT_GRANTED')
    expect(result.codes).toContain('FUZZY_NOT_GRANTED')
    expect(result.codes).toContain('MOVE_OK')
  })

  test('relational queries that are answered without having been granted are told', async () => {
    const slices = listing([{ number: 1 }, { number: 2 }])
    await using answers = await ScriptedArchive.start({
      find: (association, message) =>
        (message.identifier.string(0x00100020) === 'DIMSEGATE-NOBODY' ? listing([]) : slices)(association, message),
    })
    const port = await freePort()
    const told = await examined(answers.address, {}, { dimse: { port }, stepTimeout: 300 })
    expect(told.finding('RELATIONAL_ANSWERED')).toMatchObject({
      level: 'note',
      text: expect.stringContaining('archives[].search.relational: assume') as string,
    })
    const assumed = await examined(
      answers.address,
      { search: { relational: 'assume' } },
      { dimse: { port }, stepTimeout: 300 },
    )
    expect(assumed.finding('RELATIONAL_ANSWERED').level).toBe('ok')
    const nothing = listing([])
    const unmatched = { level: 'problem', code: 'RELATIONAL_UNMATCHED' }
    await using loose = await ScriptedArchive.start({
      find: (association, message) =>
        (message.identifier.string(0x00100020) === 'DIMSEGATE-NOBODY' ? listing([{ number: 1 }]) : slices)(
          association,
          message,
        ),
    })
    const assuming = { search: { relational: 'assume' } }
    const foreign = await examined(loose.address, assuming, { dimse: { port }, stepTimeout: 300 })
    expect(foreign.finding('RELATIONAL_UNMATCHED')).toMatchObject(unmatched)
    expect((await examined(loose.address, {}, { dimse: { port }, stepTimeout: 300 })).codes).not.toContain(
      'RELATIONAL_ANSWERED',
    )
    await using refuses = await ScriptedArchive.start({
      find(association, message) {
        const isNarrow = message.identifier.string(0x00080052) === 'STUDY' || message.identifier.string(0x0020000d)
        return (isNarrow ? slices : nothing)(association, message)
      },
    })
    const without = await examined(refuses.address, {}, { dimse: { port }, stepTimeout: 300 })
    expect(without.codes.filter((code) => code.startsWith('RELATIONAL'))).toEqual(['RELATIONAL_NOT_GRANTED'])
    const wrong = await examined(
      refuses.address,
      { search: { relational: 'assume' } },
      { dimse: { port }, stepTimeout: 300 },
    )
    expect(wrong.finding('RELATIONAL_NOT_ANSWERED').level).toBe('problem')
  })

  test('C-FIND that is refused does not stop what needs no search', async () => {
    const port = await freePort()
    await using archive = await demo(port, { faults: { findStatus: 0xa700 } })
    const result = await examined({ host: HOST, port: archive.port }, {}, { dimse: { port } })
    expect(result.finding('FIND_FAILED').text).toContain('A700')
    expect(result.codes).toContain('FETCH_NOT_TRIED')
    expect(result.codes).toEqual(expect.arrayContaining(['ECHO_OK', 'STORE_ACCEPTED', 'LIMIT_OK']))
    expect(result.codes).not.toContain('GET_OK')
    archive.faults = { acceptsClass: (uid) => uid !== SopClass.studyRootFind }
    const absent = await examined({ host: HOST, port: archive.port }, {}, { dimse: { port } })
    expect(absent.finding('FIND_NOT_ACCEPTED').ask).toBe(
      'Please allow the AE title DIMSEGATE at host 127.0.0.1 C-FIND (Study Root) on PACS.',
    )
  })

  test('an empty archive', async () => {
    await using archive = await DemoArchive.start({ aeTitle: 'PACS' })
    const result = await examined({ host: HOST, port: archive.port })
    expect(result.codes).toContain('FIND_EMPTY')
    expect(result.at('problem')).toEqual([])
  })
})

describe('C-STORE and the number of associations', () => {
  test('classes and syntaxes that are not taken are named', async () => {
    const port = await freePort()
    const isCompressed = (uid: string) => encapsulatedSyntaxes.some((syntax) => syntax.uid === uid)
    await using archive = await demo(port, {
      faults: {
        acceptsClass: (uid) => !uid.endsWith('.104.1'),
        acceptsSyntax: (uid) => !isCompressed(uid) || uid.endsWith('4.70'),
      },
    })
    const result = await examined({ host: HOST, port: archive.port }, {}, { dimse: { port } })
    const { ask } = result.finding('STORE_PARTLY_ACCEPTED')
    expect(ask).toContain('Encapsulated PDF')
    expect(ask).toContain('RLE Lossless')
    expect(ask).not.toContain('JPEG Lossless SV1')
    archive.faults = { acceptsClass: (uid) => Object.values<string>(SopClass).includes(uid) }
    const none = await examined({ host: HOST, port: archive.port }, {}, { dimse: { port } })
    expect(none.codes).toContain('STORE_NOT_ACCEPTED')
  })

  test('a limit below ours is a problem, ours itself is none', async () => {
    const port = await freePort()
    await using archive = await demo(port, { maxAssociations: 2 })
    const address = { host: HOST, port: archive.port }
    const equal = await examined(address, { maxAssociations: 2 }, { dimse: { port } })
    expect(equal.finding('LIMIT_OK').facts).toEqual({ tried: 3, stood: 2, configured: 2 })
    const result = await examined(address, { maxAssociations: 4 }, { dimse: { port } })
    expect(result.finding('LIMIT_LOW')).toMatchObject({
      level: 'problem',
      ask: 'Please allow the AE title DIMSEGATE at host 127.0.0.1 4 associations at once on PACS.',
      facts: { stood: 2 },
    })
    await eventually(() => expect(archive.associations).toBe(0))
  })
})

describe('an archive that cannot be reached', () => {
  test('a closed port', async () => {
    const port = await freePort()
    const result = await examined({ host: HOST, port })
    expect(result.codes).toEqual(['CONNECT_REFUSED'])
    expect(result.finding('CONNECT_REFUSED').ask).toContain(`host and port at which PACS takes DICOM associations`)
  })

  test('a name that nobody knows', async () => {
    const result = await examined({ host: 'pacs.invalid', port: 104 })
    expect(result.codes).toEqual(['HOST_UNKNOWN'])
  })

  test.each([
    ['CALLING_AE_REJECTED', [1, 1, 3], 'Please let the AE title DIMSEGATE at host 127.0.0.1 call PACS (port '],
    ['CALLED_AE_REJECTED', [1, 1, 7], 'Please tell us the AE title of the archive at 127.0.0.1, port '],
    ['ASSOCIATION_REJECTED', [1, 1, 2], 'Please let the AE title DIMSEGATE'],
  ] as const)('%s', async (code, triple, ask) => {
    await using archive = await ScriptedArchive.start({ associate: () => triple })
    const result = await examined(archive.address)
    expect(result.at('problem')).toEqual([code])
    expect(result.finding(code).ask).toContain(ask)
  })

  test.each([
    ['ASSOCIATION_TIMEOUT', 'silent'],
    ['ASSOCIATION_LOST', 'close'],
    ['ASSOCIATION_LOST', 'abort'],
  ] as const)('%s: an archive that does %s', async (code, answer) => {
    await using archive = await ScriptedArchive.start({ associate: () => answer })
    const result = await examined(archive.address, {}, { stepTimeout: 500 })
    expect(result.at('problem')).toEqual([code])
    expect(result.finding(code).text).toContain('TLS')
  })

  test('a web server', async () => {
    const server = createServer(
      (socket) => void socket.on('error', () => undefined).end('HTTP/1.1 400 Bad Request\r\n\r\n'),
    ).listen(0, HOST)
    await new Promise((resolve) => server.once('listening', resolve))
    const { port } = server.address() as { port: number }
    try {
      const result = await examined({ host: HOST, port })
      expect(result.at('problem')).toEqual(['NOT_DICOM'])
    } finally {
      server.close()
    }
  })

  test('an archive without TLS where TLS is set', async () => {
    await using archive = await DemoArchive.start()
    const result = await examined({ host: HOST, port: archive.port }, { tls: {} }, { stepTimeout: 1_000 })
    expect(result.codes).toEqual(['CONNECTED', 'TLS_FAILED'])
    const unread = await examined({ host: HOST, port: archive.port }, { tls: { ca: '/no/such/file' } })
    expect(unread.codes).toEqual(['TLS_FILE_UNUSABLE'])
  })

  test('one that drops extended negotiation is asked without it, as the service does', async () => {
    await using archive = await ScriptedArchive.start({
      associate: (request) => (request.includes(Buffer.from([0x56, 0x00])) ? 'abort' : undefined),
    })
    const result = await examined(archive.address, {}, { stepTimeout: 3_000 })
    expect(result.codes.slice(0, 3)).toEqual(['CONNECTED', 'ASSOCIATED', 'EXTENDED_NEGOTIATION_DROPPED'])
    expect(result.at('problem')).toEqual([])
  })
})

test('one that drops user identity, or has room for few contexts, is asked as it bears, and says so', async () => {
  await using archive = await ScriptedArchive.start({
    associate: (request) =>
      request.includes(Buffer.from([0x58, 0x00])) || readRequest(request).contexts.length > 50 ? 'abort' : undefined,
    find: listing([{ number: 1 }]),
    get: async (association, { contextId, messageId }) => {
      await storeAll(association, [{ shape: { number: 1 } }])
      await association.peer.send(getResponse({ contextId, messageId, completed: 1, failed: 0 }))
    },
  })
  const settings = { identity: { type: 'username', username: 'gateway' }, retrieve: 'get' }
  const result = await examined(archive.address, settings, { stepTimeout: 5_000, dimse: { enabled: false } })
  expect(result.at('problem')).toEqual([])
  expect(result.codes).toContain('IDENTITY_DROPPED')
  expect(result.finding('CONTEXTS_LIMITED').facts).toEqual({ proposed: 98, stood: 32 })
  expect(result.codes).toContain('GET_OK')
})

test('an archive that falls silent ends no step later than it may', async () => {
  await using archive = await ScriptedArchive.start({
    echo: () => Promise.resolve(),
    find: () => Promise.resolve(),
  })
  const start = performance.now()
  const result = await examined(archive.address, {}, { stepTimeout: 400 })
  expect(result.at('problem')).toEqual(['ECHO_FAILED', 'FIND_FAILED'])
  expect(performance.now() - start).toBeLessThan(8_000)
  expect(archive.open).toBe(0)
})

test('it is ended at once when its signal says so', async () => {
  await using archive = await ScriptedArchive.start({ find: () => Promise.resolve() })
  const stop = new AbortController()
  const running = examined(
    archive.address,
    {},
    {
      signal: stop.signal,
      progress: (step) => {
        if (step.startsWith('C-FIND')) setTimeout(() => stop.abort(new Error('Stopped')), 100)
      },
    },
  )
  let at = 0
  stop.signal.addEventListener('abort', () => (at = performance.now()))
  await expect(running).rejects.toThrow('Stopped')
  expect(performance.now() - at).toBeLessThan(1_000)
})

describe('a system beside an archive', () => {
  test('is looked at for what it is named for', async () => {
    const port = await freePort()
    await using archive = await demo(port)
    await using ris = await DemoArchive.start({ aeTitle: 'RIS' })
    const at = { host: HOST, port: ris.port, aeTitle: 'RIS' }
    const all = await examined({ host: HOST, port: archive.port }, { worklist: at }, { dimse: { port } })
    expect(all.finding('SYSTEM_OFFERS').facts).toMatchObject({
      offered: expect.arrayContaining(['worklist']) as unknown,
    })
    ris.faults = { acceptsClass: (uid) => uid !== SopClass.modalityWorklistFind }
    const less = await examined({ host: HOST, port: archive.port }, { worklist: at }, { dimse: { port } })
    expect(less.finding('SYSTEM_LACKS')).toMatchObject({ level: 'note', facts: { missing: ['worklist'] } })
    await eventually(() => expect([archive.associations, ris.associations]).toEqual([0, 0]))
  })

  test('is a problem where it is not there', async () => {
    const port = await freePort()
    await using archive = await demo(port)
    const performedSteps = { host: HOST, port: await freePort(), aeTitle: 'PPSM' }
    const result = await examined({ host: HOST, port: archive.port }, { performedSteps }, { dimse: { port } })
    expect(result.finding('SYSTEM_FAILED')).toMatchObject({
      level: 'problem',
      text: expect.stringContaining('PPSM') as unknown,
    })
  })
})
