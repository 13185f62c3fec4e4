import { describe, expect, it } from 'vitest'
import { Attribute } from '../../../src/dicom/attributes.ts'
import { parseDataset } from '../../../src/dicom/dataset-codec.ts'
import { transferSyntax } from '../../../src/dicom/transfer-syntax.ts'
import { differences } from '../../support/dataset-differences.ts'
import { CT, E, I, instanceDataset, instanceFile, MR, S, seriesFiles, Syntax } from '../../support/dicom-files.ts'
import { startGatewayFor, startSetup, type Setup, type SetupOptions } from '../../support/gateway.ts'
import { keeper } from '../../support/kept.ts'
import { readParts } from '../../support/multipart.ts'
import { splitPart10 } from '../../support/part10.ts'
import { post, related, store } from '../../support/related.ts'
import { ScriptedArchive, uidOf, type ArchiveScript } from '../../support/scripted-archive.ts'
import { Field } from '../../support/wire-tap.ts'

const GARBAGE = Buffer.from('this is no DICOM file, but some text that goes on for a while'.repeat(10))

const kept = keeper()

async function started(options: SetupOptions = {}): Promise<Setup> {
  return kept(await startSetup(options))
}

async function scripted(
  script: ArchiveScript,
  settings: object = {},
): Promise<{ url: string; archive: ScriptedArchive }> {
  const archive = kept(await ScriptedArchive.start(script))
  const gateway = kept(await startGatewayFor([{ aeTitle: 'PACS', ...archive.address, ...settings }]))
  return { url: gateway.url, archive }
}

/** An instance as the gateway gives it again, in Explicit VR Little Endian or as it is stored. */
async function retrieved(setup: Setup, instance = I, series = E): Promise<{ syntax: string; data: Buffer }> {
  const path = `/studies/${S}/series/${series}/instances/${instance}`
  const response = await fetch(setup.url + path, { headers: { accept: 'application/dicom; transfer-syntax=*' } })
  expect(response.status).toBe(200)
  return splitPart10(Buffer.from(await response.arrayBuffer()))
}

describe('an instance whose UIDs break PS3.5 9.1, and that the archive takes', () => {
  it('is answered by 202, a warning, and where it is', async () => {
    const { url } = await scripted({})
    const [series, instance] = [`${S}.AB`, `${S}.AB.1 x`]
    const { status, json } = await store(`${url}/studies`, [instanceFile({ series, instance })])
    expect(status).toBe(202)
    const at = `${url}/studies/${S}/series/${series}/instances/${encodeURIComponent(instance)}`
    const item = { '00081155': { Value: [instance] }, '00081190': { Value: [at] }, '00081196': { Value: [0xb007] } }
    expect(json).toMatchObject({ '00081199': { Value: [item] } })
  })
})

describe('an instance that the archive takes', () => {
  it('goes out in its own class and syntax, and is answered by 200 and where it is (case 89)', async () => {
    const { url, archive } = await scripted({})
    const file = instanceFile()
    const answer = await store(`${url}/studies`, [file])
    expect(answer).toMatchObject({ status: 200, type: 'application/dicom+json' })
    expect(answer.json).toEqual({
      '00081190': { vr: 'UR', Value: [`${url}/studies/${S}`] },
      '00081199': {
        vr: 'SQ',
        Value: [
          {
            '00081150': { vr: 'UI', Value: [CT] },
            '00081155': { vr: 'UI', Value: [I] },
            '00081190': { vr: 'UR', Value: [`${url}/studies/${S}/series/${E}/instances/${I}`] },
          },
        ],
      },
    })
    const [request] = archive.received(Field.store)
    expect(uidOf(request!, '0002')).toBe(CT)
    expect(uidOf(request!, '1000')).toBe(I)
    expect(archive.associations[0]!.context(CT, Syntax.explicit).id).toBe(request!.contextId)
    expect(request!.data).toEqual(splitPart10(file).data)
  })

  it('comes out of the archive again as it went in', async () => {
    const setup = await started()
    expect((await store(`${setup.url}/studies`, [instanceFile()])).status).toBe(200)
    const { syntax, data } = await retrieved(setup)
    expect(syntax).toBe(Syntax.explicit)
    expect(differences(instanceDataset(), parseDataset(data, transferSyntax(syntax)))).toEqual([])
  })

  it.each([Syntax.implicit, Syntax.bigEndian, Syntax.jpeg2000])('may be in syntax %s', async (syntax) => {
    const setup = await started()
    const fragments = syntax === Syntax.jpeg2000 ? { fragments: [Buffer.alloc(0), Buffer.from('ff4fffd9', 'hex')] } : {}
    expect((await store(`${setup.url}/studies`, [instanceFile({ syntax, ...fragments })])).stored).toEqual([
      [I, undefined],
    ])
    const found = await retrieved(setup)
    expect(found.syntax).toBe(syntax === Syntax.jpeg2000 ? syntax : Syntax.explicit)
    expect(differences(instanceDataset(fragments), parseDataset(found.data, transferSyntax(found.syntax)))).toEqual([])
  })

  it('may be without preamble and meta information', async () => {
    const setup = await started()
    const { data } = splitPart10(instanceFile({ syntax: Syntax.implicit }))
    expect((await store(`${setup.url}/studies`, [data])).stored).toEqual([[I, undefined]])
  })

  it('is named by its own data set where the meta information says otherwise', async () => {
    const setup = await started()
    const lying = instanceFile({ change: (dataset) => dataset.set(Attribute.SOPInstanceUID, `${E}.77`) })
    expect((await store(`${setup.url}/studies`, [lying])).stored).toEqual([[`${E}.77`, undefined]])
  })

  it.each([
    ['a part without media type', ''],
    ['a part of unknown type', 'application/octet-stream'],
    ['a part with parameters', `application/dicom; transfer-syntax=${Syntax.explicit}`],
  ])('may be in %s', async (_, partType) => {
    const setup = await started()
    expect((await store(`${setup.url}/studies`, [instanceFile()], { partType })).status).toBe(200)
  })

  it('may be the whole body', async () => {
    const setup = await started()
    const answer = await post(`${setup.url}/studies`, instanceFile(), { 'Content-Type': 'application/dicom' })
    expect(answer).toMatchObject({ status: 200, stored: [[I, undefined]] })
  })

  it('may be a file of a form', async () => {
    const setup = await started()
    const form = new FormData()
    for (const [at, file] of seriesFiles(3).entries())
      form.append(`file${at}`, new Blob([new Uint8Array(file)]), `${at}.dcm`)
    const response = await fetch(`${setup.url}/studies`, { method: 'POST', body: form })
    expect(response.status).toBe(200)
    await response.body!.cancel()
    expect(setup.archive.catalog.size).toBe(3)
  })

  it('may be one of many classes and syntaxes', async () => {
    const setup = await started()
    const files = [
      instanceFile({ instance: `${E}.1` }),
      instanceFile({ instance: `${E}.2`, sopClass: MR, syntax: Syntax.implicit }),
      instanceFile({ instance: `${E}.3`, syntax: Syntax.jpegBaseline, fragments: [Buffer.alloc(0), Buffer.alloc(6)] }),
      instanceFile({ instance: `${E}.4` }),
    ]
    const answer = await store(`${setup.url}/studies`, files)
    expect(answer).toMatchObject({ status: 200, failed: [], others: [] })
    expect(answer.stored.map(([uid]) => uid)).toEqual([1, 2, 3, 4].map((n) => `${E}.${n}`))
  })

  it('is answered without URL of a study where there are several', async () => {
    const setup = await started()
    const answer = await store(`${setup.url}/studies`, [
      instanceFile(),
      instanceFile({ study: '1.2.9', series: '1.2.9.1', instance: '1.2.9.1.1' }),
    ])
    expect(answer.status).toBe(200)
    expect(answer.json['00081190']).toEqual({ vr: 'UR' })
  })
})

describe('the status of the archive', () => {
  const statuses = (...list: number[]): SetupOptions => ({
    archive: { faults: { storeStatus: (uid) => list[Number(uid.split('.').at(-1)) - 1] } },
  })

  it('A700 of one of two is a 202 with that reason as a number (case 90)', async () => {
    const setup = await started(statuses(0, 0xa700))
    const answer = await store(`${setup.url}/studies`, seriesFiles(2))
    expect(answer).toMatchObject({ status: 202, stored: [[`${E}.1`, undefined]], failed: [[`${E}.2`, 42752]] })
  })

  it.each([
    [0xb000, 45056],
    [0xb006, 45062],
    [0xb007, 45063],
    [0x0001, 1],
    [0x0107, 263],
    [0x0116, 278],
  ])('%i, a warning, is a 202 with that reason (case 91)', async (status, reason) => {
    const setup = await started(statuses(status))
    expect(await store(`${setup.url}/studies`, seriesFiles(1))).toMatchObject({
      status: 202,
      stored: [[`${E}.1`, reason]],
      failed: [],
    })
  })

  it.each([
    [0x0122, 409, 290],
    [0xa900, 409, 43264],
    [0xc000, 409, 49152],
    [0x0111, 409, 273],
    [0x0117, 409, 279],
    [0x0124, 403, 292],
    [0xa700, 503, 42752],
    [0xa7ff, 503, 43007],
  ])('%i of all is HTTP %i, reason %i (case 92)', async (status, http, reason) => {
    const setup = await started(statuses(status, status))
    const answer = await store(`${setup.url}/studies`, seriesFiles(2))
    expect(answer).toMatchObject({
      status: http,
      type: 'application/dicom+json',
      stored: [],
      failed: [
        [`${E}.1`, reason],
        [`${E}.2`, reason],
      ],
      retryAfter: http === 503 ? (expect.stringMatching(/^\d+$/) as string) : null,
    })
    expect(answer.json['00081190']).toEqual({ vr: 'UR' })
  })

  it('of one kind for each is a 409', async () => {
    const setup = await started(statuses(0xa700, 0x0122, 0x0124))
    expect(await store(`${setup.url}/studies`, seriesFiles(3))).toMatchObject({
      status: 409,
      failed: [
        [`${E}.1`, 42752],
        [`${E}.2`, 290],
        [`${E}.3`, 292],
      ],
    })
  })
})

describe('what cannot be stored', () => {
  it('is an instance of another study than the path: A901, and the archive does not see it (case 93)', async () => {
    const { url, archive } = await scripted({})
    const other = instanceFile({ study: '1.2.9', series: '1.2.9.1', instance: '1.2.9.1.1' })
    const answer = await store(`${url}/studies/${S}`, [other, instanceFile()])
    expect(answer).toMatchObject({ status: 202, stored: [[I, undefined]], failed: [['1.2.9.1.1', 43265]] })
    expect(archive.received(Field.store).map((request) => uidOf(request, '1000'))).toEqual([I])
    expect(await store(`${url}/studies/${S}`, [other])).toMatchObject({ status: 409, failed: [['1.2.9.1.1', 43265]] })
  })

  it('is garbage among instances: a 202 that counts it (case 95)', async () => {
    const setup = await started()
    const answer = await store(`${setup.url}/studies`, [seriesFiles(1)[0]!, GARBAGE, ...seriesFiles(2).slice(1)])
    expect(answer).toMatchObject({ status: 202, failed: [], others: [49152] })
    expect(answer.stored).toHaveLength(2)
    expect(answer.json['0008119A']).toEqual({ vr: 'SQ', Value: [{ '00081197': { vr: 'US', Value: [49152] } }] })
  })

  it('is nothing but garbage: a 400', async () => {
    const setup = await started()
    const answer = await store(`${setup.url}/studies`, [GARBAGE, Buffer.alloc(0)])
    expect(answer).toMatchObject({ status: 400, type: 'application/dicom+json', others: [49152, 49152] })
    expect(setup.gateway.archives[0]!.stats.open).toBe(0)
  })

  it('is a part of another media type', async () => {
    const setup = await started()
    const answer = await store(`${setup.url}/studies`, [instanceFile()], { partType: 'image/png' })
    expect(answer).toMatchObject({ status: 400, others: [49152] })
  })

  it('is an instance without the UIDs that name it', async () => {
    const setup = await started()
    const nameless = instanceFile({ change: (dataset) => dataset.delete(Attribute.SeriesInstanceUID) })
    expect(await store(`${setup.url}/studies`, [nameless, instanceFile()])).toMatchObject({
      status: 202,
      others: [49152],
    })
  })

  it('is an instance cut short: the archive never takes it for whole', async () => {
    const setup = await started()
    const short = instanceFile({ instance: `${E}.1`, pixelBytes: 100_000 }).subarray(0, 60_000)
    const answer = await store(`${setup.url}/studies`, [short, instanceFile({ instance: `${E}.2` })])
    expect(answer).toMatchObject({ status: 202, stored: [[`${E}.2`, undefined]], failed: [[`${E}.1`, 49152]] })
    expect(setup.archive.catalog.size).toBe(1)
  })

  it('is a class that the archive does not accept: 290 (case 98)', async () => {
    const setup = await started({ archive: { faults: { acceptsClass: (uid) => uid !== CT } } })
    const answer = await store(`${setup.url}/studies`, [
      instanceFile({ instance: `${E}.1` }),
      instanceFile({ instance: `${E}.2`, sopClass: MR }),
    ])
    expect(answer).toMatchObject({ status: 202, stored: [[`${E}.2`, undefined]], failed: [[`${E}.1`, 290]] })
    expect(await store(`${setup.url}/studies`, [instanceFile()])).toMatchObject({ status: 409, failed: [[I, 290]] })
  })

  it('is what was compressed with loss where the archive takes native ones alone: C122 (case 97)', async () => {
    const setup = await started({ archive: { faults: { acceptsSyntax: (uid) => !uid.includes('.4.') } } })
    const compressed = instanceFile({ syntax: Syntax.jpegBaseline, fragments: [Buffer.alloc(0), Buffer.alloc(4)] })
    expect(await store(`${setup.url}/studies`, [compressed])).toMatchObject({ status: 409, failed: [[I, 49442]] })
  })

  it('is not a native one in another native syntax: it is re-encoded (case 96)', async () => {
    const setup = await started({ archive: { faults: { acceptsSyntax: (uid) => uid === Syntax.implicit } } })
    expect((await store(`${setup.url}/studies`, [instanceFile()])).stored).toEqual([[I, undefined]])
    expect(setup.archive.catalog.example.syntax.uid).toBe(Syntax.implicit)
    const { syntax, data } = await retrieved(setup)
    expect(differences(instanceDataset(), parseDataset(data, transferSyntax(syntax)))).toEqual([])
  })
})

describe('an archive that cannot be had', () => {
  it('and refuses connections is a 502 that lists every instance as 272 (case 101)', async () => {
    const gateway = kept(await startGatewayFor([{ aeTitle: 'PACS', host: '127.0.0.1', port: 1 }]))
    expect(await store(`${gateway.url}/studies`, seriesFiles(3))).toMatchObject({
      status: 502,
      type: 'application/dicom+json',
      stored: [],
      failed: [1, 2, 3].map((n) => [`${E}.${n}`, 272]),
    })
  })

  it('and rejects us is a 502 that lists every instance as 272', async () => {
    const { url } = await scripted({ associate: () => [1, 1, 7] })
    expect(await store(`${url}/studies`, seriesFiles(2))).toMatchObject({
      status: 502,
      failed: [1, 2].map((n) => [`${E}.${n}`, 272]),
    })
  })

  it('and never answers a C-STORE is a 504', async () => {
    const { url } = await scripted({ store: async () => undefined }, { timeouts: { response: '200ms' } })
    expect(await store(`${url}/studies`, [instanceFile()])).toMatchObject({ status: 504, failed: [[I, 272]] })
  })

  it('and aborts in the middle has what it took, and the rest is tried on a new association, each once', async () => {
    const { url, archive } = await scripted({
      store: async (association, { messageId, contextId, command }) => {
        if (command.get('1000')!.toString('latin1').startsWith(`${E}.2`)) return association.peer.abort()
        const { storeResponse } = await import('../../support/golden.ts')
        await association.peer.send(storeResponse({ messageId, contextId }))
      },
    })
    expect(await store(`${url}/studies`, seriesFiles(3))).toMatchObject({
      status: 202,
      stored: [
        [`${E}.1`, undefined],
        [`${E}.3`, undefined],
      ],
      failed: [[`${E}.2`, 272]],
    })
    // A C-STORE is not repeated: the archive may have kept what it did not answer.
    expect(archive.received(Field.store).map((request) => uidOf(request, '1000'))).toEqual(
      [1, 2, 3].map((n) => `${E}.${n}`),
    )
  })
})

describe('a request that is not a store', () => {
  it.each([
    ['text/plain', 415],
    ['multipart/related; type="image/png"; boundary=b', 415],
    ['multipart/related; type="text/plain"; boundary=b', 415],
    ['application/json', 415],
    ['application/dicom+json', 400],
    ['multipart/mixed; boundary=b', 415],
    ['multipart/related; type="application/dicom"', 400],
    ['multipart/related; type="application/dicom"; boundary=""', 400],
    [`multipart/related; type="application/dicom"; boundary=${'b'.repeat(71)}`, 400],
    ['multipart/related; type="application/dicom"; boundary="b\tc"', 400],
    ['multipart/related; type="application/dicom"; boundary="b ', 400],
    ['multipart', 400],
  ])('of type %s is a %i (cases 19, 94)', async (contentType, status) => {
    const setup = await started()
    const { body } = related([instanceFile()], { boundary: 'b' })
    const answer = await post(`${setup.url}/studies`, body, { 'Content-Type': contentType })
    expect(answer).toMatchObject({ status, type: 'application/problem+json' })
    expect(setup.gateway.archives[0]!.stats.open).toBe(0)
    if (status === 415) {
      const again = await fetch(`${setup.url}/studies`, { method: 'POST', headers: { 'Content-Type': contentType } })
      expect(again.headers.get('accept')).toContain('multipart/related; type="application/dicom"')
      await again.body!.cancel()
    }
  })

  it.each(['gzip', 'deflate', 'br', 'gzip, identity'])('of encoding %s is a 415', async (encoding) => {
    const setup = await started()
    const { type, body } = related([instanceFile()])
    const answer = await post(`${setup.url}/studies`, body, { 'Content-Type': type, 'Content-Encoding': encoding })
    expect(answer).toMatchObject({ status: 415, json: { code: 'CONTENT_ENCODING' } })
    expect(
      await post(`${setup.url}/studies`, body, { 'Content-Type': type, 'Content-Encoding': 'identity' }),
    ).toMatchObject({
      status: 200,
    })
  })

  it('with a malformed UID in its path is a 400', async () => {
    const setup = await started()
    expect((await store(`${setup.url}/studies/1.2..3x`, [instanceFile()])).status).toBe(400)
    expect(setup.archive.catalog.size).toBe(0)
  })

  it('to an archive that is not configured is a 404', async () => {
    const setup = await started()
    expect((await store(`${setup.url}/aets/NOBODY/studies`, [instanceFile()])).status).toBe(404)
    expect((await store(`${setup.url}/aets/DEMO/studies`, [instanceFile()])).status).toBe(200)
  })

  it('with no part is a 400', async () => {
    const setup = await started()
    expect((await store(`${setup.url}/studies`, [])).status).toBe(400)
    expect((await post(`${setup.url}/studies`, Buffer.alloc(0), { 'Content-Type': 'application/dicom' })).status).toBe(
      400,
    )
  })
})

it('stored instances are in the parts of the study that they were stored in', async () => {
  const setup = await started()
  await store(`${setup.url}/studies`, seriesFiles(3))
  const response = await fetch(`${setup.url}/studies/${S}`)
  const parts = readParts(response.headers.get('content-type')!, Buffer.from(await response.arrayBuffer()))
  expect(parts).toHaveLength(3)
})
