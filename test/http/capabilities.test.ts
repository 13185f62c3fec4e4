import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { contract } from '../support/contract.ts'
import { startSetup, type Setup } from '../support/gateway.ts'
import { parseXml } from '../support/xml.ts'

let setup: Setup

beforeAll(async () => {
  setup = await startSetup({
    http: { basePath: '/p', cors: { origins: ['https://viewer.example'] } },
    others: { auth: { keys: [{ name: 'a', hash: `sha256:${'0'.repeat(64)}` }] } },
  })
})

afterAll(async () => {
  await setup[Symbol.asyncDispose]()
})

const ask = (path: string, headers: Record<string, string> = {}): Promise<Response> =>
  fetch(`http://127.0.0.1:${setup.port}${path}`, { method: 'OPTIONS', headers })

/** Operations of a WADL by method and path. */
function operations(node: ReturnType<typeof parseXml>, path = ''): string[] {
  return node.children.flatMap((one) => {
    if (one.name === 'method') return [`${one.attributes['name']} ${path} ${one.attributes['id']}`]
    if (one.name === 'resource') return operations(one, `${path}/${one.attributes['path']}`)
    return one.name === 'resources' ? operations(one, path) : []
  })
}

describe('the capabilities (PS3.18 8.9)', () => {
  it.each(['/p', '/p/', '/p/aets/DEMO', '/p/aets/DEMO/'])(
    'at %s are all operations of the contract, as WADL',
    async (path) => {
      const response = await ask(path)
      expect([response.status, response.headers.get('content-type')]).toEqual([200, 'application/vnd.sun.wadl+xml'])
      const root = parseXml(await response.text())
      expect([root.name, root.children[0]!.attributes['base']]).toEqual([
        'application',
        `http://127.0.0.1:${setup.port}${path.replace(/\/$/, '')}/`,
      ])
      const described = Object.entries(contract().paths)
        .filter(([, item]) => !('servers' in item))
        .flatMap(([at, item]) =>
          ['get', 'post', 'delete'].flatMap((method) =>
            item[method] ? [`${method.toUpperCase()} ${at} ${item[method].operationId}`] : [],
          ),
        )
      expect(described.length).toBeGreaterThan(30)
      expect(operations(root).sort()).toEqual(described.sort())
    },
  )

  it('name parameters, and the media types of what is sent and answered', async () => {
    const text = await (await ask('/p/')).text()
    for (const part of [
      '<param name="limit" style="query"',
      '<param name="study" style="template" type="xsd:string" required="true"/>',
      '<representation mediaType="application/dicom+json"/>',
      'mediaType="multipart/related; type=&quot;application/dicom&quot;"',
    ]) {
      expect(text).toContain(part)
    }
  })

  it('are had as OpenAPI', async () => {
    const response = await ask('/p/aets/DEMO', { Accept: 'application/json' })
    const document = (await response.json()) as { openapi: string; servers: object[] }
    expect(document).toMatchObject({
      openapi: '3.1.1',
      servers: [{ url: `http://127.0.0.1:${setup.port}/p/aets/DEMO` }],
    })
  })

  it('leave questions of browsers what they are, and are at the root only', async () => {
    const preflight = { Origin: 'https://viewer.example', 'Access-Control-Request-Method': 'GET' }
    expect((await ask('/p/', preflight)).status).toBe(204)
    expect((await ask('/p/studies')).status).toBe(405)
    expect((await fetch(`http://127.0.0.1:${setup.port}/p/`)).status).toBe(404)
  })
})
