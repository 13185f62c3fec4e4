import { afterEach, beforeAll, afterAll, describe, expect, it } from 'vitest'
import { Attribute } from '../../../src/dicom/attributes.ts'
import type { Dataset } from '../../../src/dicom/dataset.ts'
import { parseDataset } from '../../../src/dicom/dataset-codec.ts'
import { transferSyntax } from '../../../src/dicom/transfer-syntax.ts'
import {
  CT,
  E,
  I,
  instanceDataset,
  instanceFile,
  S,
  SECONDARY_CAPTURE,
  seriesFiles,
  Syntax,
} from '../../support/dicom-files.ts'
import { differences } from '../../support/dataset-differences.ts'
import { startSetup, type Setup, type SetupOptions } from '../../support/gateway.ts'
import { readParts } from '../../support/multipart.ts'
import { hasPrefix, splitPart10 } from '../../support/part10.ts'

interface Retrieved {
  readonly status: number
  readonly type: string
  readonly location: string | null
  readonly body: Buffer
}

async function get(url: string, accept?: string): Promise<Retrieved> {
  const response = await fetch(url, accept === undefined ? {} : { headers: { accept } })
  return {
    status: response.status,
    type: response.headers.get('content-type') ?? '',
    location: response.headers.get('content-location'),
    body: Buffer.from(await response.arrayBuffer()),
  }
}

interface File {
  /** Of the part. */
  readonly type: string | undefined
  readonly sopInstance: string
  /** (0002,0010) */
  readonly syntax: string
  readonly data: Buffer
}

/** The DICOM files of a multipart body. */
function files({ status, type, body }: Retrieved): File[] {
  expect(status, body.toString('latin1', 0, 400)).toBe(200)
  expect(type).toMatch(/^multipart\/related; type="application\/dicom"; boundary=[0-9a-f]{32}$/)
  return readParts(type, body).map((part) => {
    expect(hasPrefix(part.body)).toBe(true)
    return { type: part.headers.get('content-type'), ...splitPart10(part.body) }
  })
}

const MULTIPART = 'multipart/related; type="application/dicom"'
const STORED = `${MULTIPART}; transfer-syntax=*`
const FRAGMENTS = [Buffer.alloc(0), Buffer.from('ff4fff51001122ffd9aa', 'hex'), Buffer.from('ff4f0000ffd9', 'hex')]

const setups: Setup[] = []

async function started(options: SetupOptions): Promise<Setup> {
  const setup = await startSetup(options)
  setups.push(setup)
  return setup
}

afterEach(async () => {
  for (const setup of setups.splice(0)) await setup[Symbol.asyncDispose]()
})

describe('a study of two series', () => {
  let setup: Setup
  const series = [E, `${S}.5`]

  beforeAll(async () => {
    setup = await startSetup({ files: [...seriesFiles(3), ...seriesFiles(2, { series: series[1]! })] })
  })

  afterAll(async () => {
    await setup[Symbol.asyncDispose]()
  })

  it.each([
    ['asked for by its media type', MULTIPART],
    ['asked for with an unquoted type', 'multipart/related; type=application/dicom'],
    ['asked for as anything', '*/*'],
    ['asked for by nothing', undefined],
    ['asked for in its syntax', `${MULTIPART}; transfer-syntax=${Syntax.explicit}`],
    ['asked for as it is stored', STORED],
    ['asked for with a boundary', 'multipart/related; type="application/dicom"; boundary=**'],
    ['asked for in whatever multipart', 'multipart/related'],
    ['preferred to what is not there', 'image/jpeg, multipart/related; type="application/dicom";q=0.1'],
  ])('%s comes in Explicit VR Little Endian, one part an instance (cases 1, 3, 4)', async (_, accept) => {
    const parts = files(await get(`${setup.url}/studies/${S}`, accept))
    expect(parts.map(({ sopInstance }) => sopInstance).sort()).toEqual(
      [`${E}.1`, `${E}.2`, `${E}.3`, `${S}.5.1`, `${S}.5.2`].sort(),
    )
    for (const { type, syntax, sopInstance, data } of parts) {
      expect(type).toBe(`application/dicom; transfer-syntax=${Syntax.explicit}`)
      expect(syntax).toBe(Syntax.explicit)
      const dataset = parseDataset(data, transferSyntax(syntax))
      const original = instanceDataset({ series: sopInstance.split('.').slice(0, -1).join('.'), instance: sopInstance })
      expect(differences(original, dataset)).toEqual([])
    }
  })

  it('comes by series and by instance', async () => {
    const one = files(await get(`${setup.url}/studies/${S}/series/${series[1]!}`))
    expect(one.map(({ sopInstance }) => sopInstance)).toEqual([`${S}.5.1`, `${S}.5.2`])
    const single = files(await get(`${setup.url}/studies/${S}/series/${E}/instances/${E}.2`))
    expect(single.map(({ sopInstance }) => sopInstance)).toEqual([`${E}.2`])
  })

  it('says in Content-Location what it is', async () => {
    for (const path of [`/studies/${S}`, `/studies/${S}/series/${E}`, `/studies/${S}/series/${E}/instances/${E}.1`]) {
      expect((await get(`${setup.url}${path}?accept=*/*`)).location).toBe(`${setup.url}${path}`)
    }
  })

  it('has its instance as a single file for application/dicom (case 9)', async () => {
    const { status, type, body } = await get(
      `${setup.url}/studies/${S}/series/${E}/instances/${E}.1`,
      'application/dicom',
    )
    expect({ status, type }).toEqual({ status: 200, type: 'application/dicom' })
    expect(body.subarray(0, 128)).toEqual(Buffer.alloc(128))
    expect(body.toString('latin1', 128, 132)).toBe('DICM')
    const { syntax, sopClass, sopInstance, data } = splitPart10(body)
    expect({ syntax, sopClass, sopInstance }).toEqual({ syntax: Syntax.explicit, sopClass: CT, sopInstance: `${E}.1` })
    expect(differences(instanceDataset({ instance: `${E}.1` }), parseDataset(data, transferSyntax(syntax)))).toEqual([])
  })

  it.each([`/studies/${S}`, `/studies/${S}/series/${E}`])(
    'is not a single file: application/dicom of %s is a 406 (case 10)',
    async (path) => {
      expect((await get(setup.url + path, 'application/dicom')).status).toBe(406)
    },
  )

  it.each([
    `${MULTIPART}; transfer-syntax=${Syntax.implicit}`,
    `${MULTIPART}; transfer-syntax=${Syntax.bigEndian}`,
    `${MULTIPART}; transfer-syntax=${Syntax.jpegXlLossless}`,
    'image/jpeg',
    'multipart/related; type="image/jpeg"',
    'text/html',
    'application/dicom+json',
    '*/*;q=0',
  ])('is never given as %s: 406 (case 7)', async (accept) => {
    const { status, type, body } = await get(`${setup.url}/studies/${S}`, accept)
    expect({ status, type }).toEqual({ status: 406, type: 'application/problem+json' })
    expect(JSON.parse(body.toString())).toMatchObject({ status: 406, code: 'NOT_ACCEPTABLE' })
  })

  it('goes by the accept parameter before the header', async () => {
    const accept = encodeURIComponent('application/dicom')
    const path = `/studies/${S}/series/${E}/instances/${E}.1`
    expect((await get(`${setup.url}${path}?accept=${accept}`, MULTIPART)).type).toBe('application/dicom')
    expect((await get(`${setup.url}${path}?accept=image/jpeg`, 'application/dicom')).type).toBe('application/dicom')
    expect((await get(`${setup.url}${path}?accept=image/jpeg`, 'image/png')).status).toBe(406)
  })

  it('refuses an Accept that cannot be read', async () => {
    expect((await get(`${setup.url}/studies/${S}`, 'multipart/related; type="application/dicom')).status).toBe(400)
  })

  it('never has its boundary inside a part (case 16)', async () => {
    const change = (dataset: Dataset): unknown => dataset.put(Attribute.PixelData, { vr: 'OW', value: dashes })
    const dashes = Buffer.from('\r\n--\r\n----\r\n--0123456789abcdef\r\n--'.repeat(4))
    const other = await started({ files: [instanceFile({ change })] })
    const boundaries = new Set<string>()
    for (let i = 0; i < 5; i++) {
      const answer = await get(`${other.url}/studies/${S}`)
      const boundary = /boundary=(.*)$/.exec(answer.type)![1]!
      boundaries.add(boundary)
      const [file] = files(answer)
      expect(file!.data.subarray(-dashes.length)).toEqual(dashes)
      expect(answer.body.toString('latin1').split(`--${boundary}`)).toHaveLength(3)
      expect(answer.body.toString('latin1').endsWith(`\r\n--${boundary}--\r\n`)).toBe(true)
    }
    expect(boundaries.size).toBe(5)
  })
})

describe('what an archive gives in Implicit VR Little Endian', () => {
  it.each([MULTIPART, STORED, 'application/dicom', 'application/dicom; transfer-syntax=*'])(
    'leaves in Explicit VR, asked for as %s (cases 2, 6)',
    async (accept) => {
      const setup = await started({
        files: [instanceFile({ syntax: Syntax.implicit })],
        archive: { faults: { acceptsSyntax: (uid) => uid === Syntax.implicit } },
      })
      const answer = await get(`${setup.url}/studies/${S}/series/${E}/instances/${I}`, accept)
      const { syntax, data } = accept.startsWith('multipart') ? files(answer)[0]! : splitPart10(answer.body)
      expect(syntax).toBe(Syntax.explicit)
      // (0008,0005) CS: VR letters, as Explicit VR has them.
      expect(data.subarray(0, 6).toString('latin1')).toBe('\x08\0\x05\0CS')
      expect(differences(instanceDataset(), parseDataset(data, transferSyntax(syntax)))).toEqual([])
    },
  )

  it('leaves in Explicit VR where the archive has it in Big Endian too', async () => {
    const setup = await started({ files: [instanceFile({ syntax: Syntax.bigEndian })] })
    const [file] = files(await get(`${setup.url}/studies/${S}`, STORED))
    expect(file!.syntax).toBe(Syntax.explicit)
    expect(differences(instanceDataset(), parseDataset(file!.data, transferSyntax(file!.syntax)))).toEqual([])
  })
})

describe('what an archive has compressed', () => {
  const compressed = (syntax: string, instance = I): Buffer => instanceFile({ syntax, instance, fragments: FRAGMENTS })
  const path = `/studies/${S}/series/${E}/instances/${I}`

  it('comes as it is stored for transfer-syntax=*, its fragments byte for byte (case 5)', async () => {
    const setup = await started({ files: [compressed(Syntax.jpeg2000)] })
    const [file] = files(await get(`${setup.url}/studies/${S}`, STORED))
    expect(file!.type).toBe(`application/dicom; transfer-syntax=${Syntax.jpeg2000}`)
    expect(file!.syntax).toBe(Syntax.jpeg2000)
    const pixels = parseDataset(file!.data, transferSyntax(file!.syntax)).get(Attribute.PixelData)!
    expect((pixels.value as { fragments: Uint8Array[] }).fragments.map((one) => Buffer.from(one))).toEqual(FRAGMENTS)
  })

  it('comes so where its syntax is asked for by name, or is among what is taken', async () => {
    const setup = await started({ files: [compressed(Syntax.jpeg2000)] })
    const named = `${MULTIPART}; transfer-syntax=${Syntax.jpeg2000}`
    for (const accept of [named, `${named};q=0.5, ${MULTIPART}; transfer-syntax=${Syntax.explicit}`]) {
      // Case 8.
      expect(files(await get(`${setup.url}/studies/${S}`, accept))[0]!.syntax).toBe(Syntax.jpeg2000)
    }
    expect((await get(`${setup.url}${path}`, `application/dicom; transfer-syntax=${Syntax.jpeg2000}`)).status).toBe(200)
  })

  it('without loss is not acceptable to who asks for Explicit VR, where nothing here decodes it', async () => {
    const setup = await started({ files: [compressed(Syntax.jpegXlLossless)] })
    for (const accept of [undefined, MULTIPART, `${MULTIPART}; transfer-syntax=${Syntax.jpegLossless}`]) {
      expect((await get(`${setup.url}/studies/${S}`, accept)).status).toBe(406)
    }
    expect((await get(`${setup.url}${path}`, 'application/dicom')).status).toBe(406)
  })

  it.each([
    ['JPEG XL', Syntax.jpegXl],
    ['video', '1.2.840.10008.1.2.4.102'],
  ])(
    'with loss, as nothing here decodes it, comes as it is, and says so, to who asks for the default: %s (case 15)',
    async (_, syntax) => {
      const setup = await started({ files: [compressed(syntax)] })
      const [file] = files(await get(`${setup.url}/studies/${S}`, MULTIPART))
      expect(file!.type).toBe(`application/dicom; transfer-syntax=${syntax}`)
      expect(file!.syntax).toBe(syntax)
      const pixels = parseDataset(file!.data, transferSyntax(syntax)).get(Attribute.PixelData)!
      expect((pixels.value as { fragments: Uint8Array[] }).fragments.map((one) => Buffer.from(one))).toEqual(FRAGMENTS)
      expect(splitPart10((await get(`${setup.url}${path}`, 'application/dicom')).body).syntax).toBe(syntax)
      // Nothing is lost where the client says what else it takes.
      const lossless = await get(`${setup.url}${path}`, `application/dicom; transfer-syntax=${Syntax.jpeg2000}`)
      expect(lossless.status).toBe(406)
    },
  )

  it('in part is a 206 of what the client takes', async () => {
    const setup = await started({
      files: [compressed(Syntax.jpegXlLossless, `${E}.1`), instanceFile({ instance: `${E}.2` })],
      archive: { faults: { acceptsSyntax: (uid) => !uid.includes('.4.') || uid === Syntax.jpegXlLossless } },
    })
    const answer = await get(`${setup.url}/studies/${S}`, MULTIPART)
    expect(answer.status).toBe(206)
    expect(readParts(answer.type, answer.body).map(({ body }) => splitPart10(body).sopInstance)).toEqual([`${E}.2`])
  })
})

describe('what is not there', () => {
  it.each([
    ['a study', '/studies/9.9'],
    ['a series', `/studies/${S}/series/9.9`],
    ['an instance', `/studies/${S}/series/${E}/instances/9.9`],
    ['an instance of another series', `/studies/${S}/series/${S}.5/instances/${I}`],
    ['an instance of another study', `/studies/1.2.9/series/${E}/instances/${I}`],
    ['a series of another study', `/studies/1.2.9/series/${E}`],
  ])('%s is a 404 (cases 53, 60)', async (_, path) => {
    const other = instanceFile({ series: `${S}.5`, instance: `${S}.5.1`, sopClass: SECONDARY_CAPTURE })
    const elsewhere = instanceFile({ study: '1.2.9', series: '1.2.9.1', instance: '1.2.9.1.1' })
    const setup = await started({ files: [instanceFile(), other, elsewhere] })
    const { status, type, body } = await get(setup.url + path)
    expect({ status, type }).toEqual({ status: 404, type: 'application/problem+json' })
    expect(JSON.parse(body.toString())).toMatchObject({ code: 'NO_SUCH_INSTANCE', instance: `/dicomweb${path}` })
  })

  it.each([
    '/studies/1.2..3x',
    '/studies/1.2..3',
    '/studies/.1',
    '/studies/1.2.',
    '/studies/a..b',
    `/studies/${'1'.repeat(129)}`,
    '/studies/1.2%2F3',
    '/studies/%2e%2e%2fetc%2fpasswd',
    '/studies/1.2%00',
    '/studies/1%20',
    '/studies/%D9%A1',
    `/studies/${S}/series/x%3F`,
    `/studies/${S}/series/${E}/instances/1.2%5C1.3`,
    `/studies/${S},1.2.9`,
    `/studies/*`,
  ])('a path of %s is a 400, and no association is opened (case 59)', async (path) => {
    const setup = await started({ files: [instanceFile()] })
    const { status, type } = await get(setup.url + path)
    expect({ status, type }).toEqual({ status: 400, type: 'application/problem+json' })
    expect(setup.gateway.archives[0]!.stats.open).toBe(0)
  })

  it('a path that leads out of itself is none of ours', async () => {
    const setup = await started({ files: [instanceFile()] })
    const { RawClient } = await import('../../support/raw-http.ts')
    for (const target of [
      '/dicomweb/studies/../../etc/passwd',
      '/dicomweb/../../../etc/passwd',
      '/dicomweb/studies/..',
      '//etc/passwd',
    ]) {
      await using client = await RawClient.connect(setup.port)
      await client.request('GET', target, { Connection: 'close' })
      await client.closed()
      expect([400, 404], target).toContain(client.status)
    }
    expect(setup.gateway.archives[0]!.stats.open).toBe(0)
  })
})
