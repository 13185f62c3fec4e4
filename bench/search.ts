import { Attribute } from '../src/dicom/attributes.ts'
import { defaultKeys } from '../src/pacs/search/attribute-levels.ts'
import type { Scenario } from './contest.ts'
import { curl } from './curl.ts'
import { SEARCH_STUDIES } from './data.ts'
import { startGateway } from './gateway.ts'
import { ORTHANC_TITLE } from './orthanc.ts'
import { timed } from './timed.ts'

/** QIDO-RS of all studies against findscu with the same return keys, the numbers of series and instances included. */
export const searchScenarios: readonly Scenario[] = [
  {
    name: 'search',
    work: `QIDO: ${SEARCH_STUDIES.toLocaleString('en')} studies (Orthanc)`,
    against: 'findscu, same keys',
    target: { of: 'ratio', reach: 1.5, aim: 1.1 },
    maxRounds: 3,
    async prepare(peers, resources, program) {
      const { host, port } = await peers.orthanc()
      const expected = SEARCH_STUDIES + Object.keys(peers.data.studies).length
      const gateway = resources.use(await startGateway({ aeTitle: ORTHANC_TITLE, host, port }, program))
      const url = `${gateway.url}/studies?limit=10000`
      const size = await checkSearch(url, expected)
      const findscu = ['-S', '-aec', ORTHANC_TITLE, '-pdu', '131072', ...keys(), host, String(port)]
      await checkFindscu(findscu, expected)
      return {
        gateway,
        ours: async () => {
          const turn = await curl(url, [])
          if (turn.bytes !== size) throw new Error(`${url} gave ${turn.bytes} bytes where ${size} were due`)
          return turn
        },
        // Told to keep quiet: printing would slow it.
        theirs: async () => (await timed('findscu', ['-ll', 'warn', ...findscu])).seconds,
      }
    },
  },
]

function keys(): string[] {
  const tags = defaultKeys('STUDY').map(({ tag }) => tag.toString(16).padStart(8, '0'))
  return ['QueryRetrieveLevel=STUDY', ...tags.map((t) => `${t.slice(0, 4)},${t.slice(4)}`)].flatMap((key) => [
    '-k',
    key,
  ])
}

/** Returns the size of the body. */
async function checkSearch(url: string, expected: number): Promise<number> {
  const { body, bytes } = await curl(url, [], true)
  const results = JSON.parse(body) as Record<string, { Value?: unknown[] } | undefined>[]
  const uidTag = Attribute.StudyInstanceUID.toString(16).padStart(8, '0').toUpperCase()
  const countTag = Attribute.NumberOfStudyRelatedInstances.toString(16).padStart(8, '0').toUpperCase()
  const found = new Set(results.map((result) => result[uidTag]?.Value?.[0]))
  if (found.size !== expected) throw new Error(`${url} gave ${found.size} studies where ${expected} are`)
  if (results.some((result) => result[countTag]?.Value === undefined)) throw new Error(`${url} left counts out`)
  return bytes
}

async function checkFindscu(args: readonly string[], expected: number): Promise<void> {
  const { output } = await timed('findscu', args, true)
  const found = output.match(/Find Response: \d+ \(Pending\)/g)?.length
  if (found !== expected) throw new Error(`findscu found ${String(found)} studies where ${expected} are`)
}
