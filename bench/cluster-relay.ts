// Programs for cluster.ts: bytes from one process to another, as replicas pass them on, and through Valkey's streams.
import { once } from 'node:events'
import { createServer } from 'node:http'
import { createClient, RESP_TYPES } from '@redis/client'
import { ReplicaClient } from '../src/cluster/replica-client.ts'
import { ReplicaServer } from '../src/cluster/replica-server.ts'
import { secured } from '../src/cluster/secured.ts'
import { Moves } from '../src/pacs/delivery/moves.ts'
import { instanceFile } from '../test/support/dicom-files.ts'
import { splitPart10 } from '../test/support/part10.ts'

const HOST = '127.0.0.1'
const CHUNK_BYTES = 512 * 1024
/** Chunks in the stream at once, so that Valkey holds no more. */
const AHEAD = 8
const TLS = secured({ secret: 'x'.repeat(32) })
const STUDY = '1.2.3'

/** Answers each request by how many bytes were passed on, of the MiB that its path asks for. */
async function serve(port: number, pass: (bytes: number) => Promise<number>): Promise<void> {
  const server = createServer((request, response) => {
    void pass(Number(request.url!.slice(1)) * 1024 * 1024).then((bytes) => response.end(String(bytes)))
  })
  await once(server.listen(port, HOST), 'listening')
}

async function take(port: number, at: number): Promise<void> {
  const moves = new Moves()
  moves.expect({
    archiveAeTitle: 'PACS',
    callingAeTitle: 'DIMSEGATE',
    messageIds: new Set([1]),
    selection: { study: STUDY },
    lacks: () => true,
    refused: () => undefined,
    deliver: async ({ body }) => {
      for await (const _ of body);
      return 0
    },
  })
  await new ReplicaServer(TLS, moves).listen({ host: HOST, port: at })
  await serve(port, () => Promise.resolve(0))
}

async function give(port: number, to: number): Promise<void> {
  const client = new ReplicaClient(TLS)
  const file = splitPart10(instanceFile({ study: STUDY, pixelBytes: CHUNK_BYTES }))
  const { sopClass, sopInstance, syntax, data } = file
  const identity = { sopClass, sopInstance, study: STUDY, series: '1.2.3.4' }
  const named = { moveOriginatorAeTitle: 'DIMSEGATE', moveOriginatorMessageId: 1 }
  const offer = { archives: ['PACS'], sopClass, sopInstance, syntax, identity, ...named }
  // As PDUs come.
  async function* body(): AsyncGenerator<Uint8Array> {
    for (let at = 0; at < data.length; at += 131_072) yield data.subarray(at, at + 131_072)
  }
  await serve(port, async (bytes) => {
    for (let left = bytes; left > 0; left -= CHUNK_BYTES) {
      const status = await client.offer(`${HOST}:${to}`, { offer, fit: 0 }, body)
      if (status !== 0) throw new Error(`An instance was answered ${status}`)
    }
    return bytes
  })
}

async function read(port: number, url: string): Promise<void> {
  const client = await createClient({ url, RESP: 2 }).connect()
  await serve(port, () => Promise.resolve(0))
  const typed = client.withTypeMapping({ [RESP_TYPES.BLOB_STRING]: Buffer })
  for (;;) {
    const answer = (await typed.sendCommand([
      'XREAD',
      'BLOCK',
      '0',
      'COUNT',
      '1',
      'STREAMS',
      'bytes',
      '0',
    ])) as unknown as [unknown, [Buffer, [Buffer, Buffer]][]][] | null
    for (const [, entries] of answer ?? []) {
      for (const [id, [, chunk]] of entries) {
        await client.sendCommand(['XDEL', 'bytes', id.toString()])
        await client.sendCommand(['LPUSH', 'taken', String(chunk.length)])
      }
    }
  }
}

async function write(port: number, url: string): Promise<void> {
  const client = await createClient({ url, RESP: 2 }).connect()
  const chunk = Buffer.alloc(CHUNK_BYTES, 1)
  await serve(port, async (bytes) => {
    let [sent, taken] = [0, 0]
    while (taken < bytes) {
      while (sent < bytes && sent - taken < AHEAD * CHUNK_BYTES) {
        sent += CHUNK_BYTES
        await client.sendCommand(['XADD', 'bytes', '*', 'chunk', chunk])
      }
      const [, length] = (await client.sendCommand(['BRPOP', 'taken', '0'])) as unknown as [string, string]
      taken += Number(length)
    }
    return taken
  })
}

const [what, port, other] = process.argv.slice(2)
if (what === 'taker') await take(Number(port), Number(other))
else if (what === 'giver') await give(Number(port), Number(other))
else if (what === 'reader') await read(Number(port), other!)
else if (what === 'writer') await write(Number(port), other!)
