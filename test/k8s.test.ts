import { execFileSync, spawnSync } from 'node:child_process'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { runInNewContext } from 'node:vm'
import { Deployment } from 'kubernetes-models/apps/v1'
import type { IDeployment } from 'kubernetes-models/apps/v1'
import { HorizontalPodAutoscaler } from 'kubernetes-models/autoscaling/v2'
import type { IHorizontalPodAutoscaler } from 'kubernetes-models/autoscaling/v2'
import { NetworkPolicy } from 'kubernetes-models/networking.k8s.io/v1'
import type { INetworkPolicy } from 'kubernetes-models/networking.k8s.io/v1'
import { PodDisruptionBudget } from 'kubernetes-models/policy/v1'
import type { IPodDisruptionBudget } from 'kubernetes-models/policy/v1'
import { ConfigMap, Service, ServiceAccount } from 'kubernetes-models/v1'
import type { IConfigMap, IContainer, IPodSpec, IProbe, IService, IServiceAccount } from 'kubernetes-models/v1'
import ts from 'typescript'
import { describe, expect, test } from 'vitest'
import { parse, parseAllDocuments } from 'yaml'
import type { Config } from '../src/config/config.ts'
import { parseConfig } from '../src/config/config.ts'
import { layEnvironment } from '../src/config/environment.ts'
import { parseBytes } from '../src/config/units.ts'
import { temporaryFolder } from './support/temporary-folder.ts'

// Renders k8s/ as a cluster would get it. There is no API server here: values are checked by the schemas of
// kubernetes-models, and keys it does not know by its types, through the compiler.

const ROOT = path.join(import.meta.dirname, '..')
const KUSTOMIZATIONS = ['base', ...readdirSync(path.join(ROOT, 'k8s/overlays')).map((name) => `overlays/${name}`)]

/** kubectl's first release with kustomize 5; Debian 12's, 1.20, has kustomize 2. */
const OLDEST_KUBECTL = 27

/** The kinds we ship, and where the types of each are. A kind that is not here fails the test. */
const KINDS = {
  ConfigMap: [ConfigMap, 'v1'],
  Deployment: [Deployment, 'apps/v1'],
  HorizontalPodAutoscaler: [HorizontalPodAutoscaler, 'autoscaling/v2'],
  NetworkPolicy: [NetworkPolicy, 'networking.k8s.io/v1'],
  PodDisruptionBudget: [PodDisruptionBudget, 'policy/v1'],
  Service: [Service, 'v1'],
  ServiceAccount: [ServiceAccount, 'v1'],
} as const

interface Objects {
  ConfigMap: IConfigMap
  Deployment: IDeployment
  HorizontalPodAutoscaler: IHorizontalPodAutoscaler
  NetworkPolicy: INetworkPolicy
  PodDisruptionBudget: IPodDisruptionBudget
  Service: IService
  ServiceAccount: IServiceAccount
}

interface Manifest {
  kind: keyof Objects
  metadata: { name: string }
}

const minor = kubectlMinor()
const usable = minor !== undefined && minor >= OLDEST_KUBECTL

test('kubectl is there', ({ skip }) => {
  if (usable) return
  const found = minor === undefined ? 'No kubectl' : `kubectl 1.${minor}`
  const message = `${found} on PATH, and k8s/ needs 1.${OLDEST_KUBECTL} or later to be rendered: .ci/run installs one`
  if (process.env['CI'] === 'true') throw new Error(message)
  console.warn(message)
  skip(message)
})

// Not describe.skip, which would still run what is inside to find the tests.
if (usable) describe('k8s', checks)

function checks(): void {
  const rendered = new Map(KUSTOMIZATIONS.map((name) => [name, render(name)]))
  const each = describe.each([...rendered].map(([name, manifests]) => ({ name, manifests })))

  test('no unknown key, no wrong type: the compiler takes every object', { timeout: 60_000 }, () => {
    expect(compileErrors([...rendered.values()].flat())).toEqual([])
  })

  test('the compiler and the schemas refuse a wrong object', { timeout: 60_000 }, () => {
    const wrong = structuredClone(only(rendered.get('base')!, 'Deployment'))
    Object.assign(gateway(wrong), { redinessProbe: {} })
    expect(compileErrors([wrong as unknown as Manifest])).toEqual([expect.stringContaining('redinessProbe')])
    Object.assign(gateway(wrong).ports![0]!, { containerPort: 'http' })
    expect(() => validate(wrong as unknown as Manifest)).toThrow('containerPort must be integer')
  })

  each('$name', ({ manifests }) => {
    const deployment = only(manifests, 'Deployment')
    const pod = podOf(deployment)
    const container = gateway(deployment)
    const config = configOf(manifests, deployment)

    test.each(manifests.map((manifest) => [`${manifest.kind} ${manifest.metadata.name}`, manifest] as const))(
      '%s is valid',
      (_, manifest) => {
        expect(() => validate(manifest)).not.toThrow()
      },
    )

    test('the pod runs as nobody in particular, without a token, and gets no service links', () => {
      expect(pod).toMatchObject({
        automountServiceAccountToken: false,
        enableServiceLinks: false,
        terminationGracePeriodSeconds: 120,
        securityContext: { runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } },
      })
      const account = only(manifests, 'ServiceAccount')
      expect(account).toMatchObject({ metadata: { name: pod.serviceAccountName }, automountServiceAccountToken: false })
      for (const key of ['hostNetwork', 'hostPID', 'hostIPC'] as const) expect(pod[key]).toBeUndefined()
    })

    test.each(containersOf(pod).map((one) => [one.name, one] as const))('%s is confined', (_, one) => {
      expect(one.securityContext).toMatchObject({
        allowPrivilegeEscalation: false,
        readOnlyRootFilesystem: true,
        capabilities: { drop: ['ALL'] },
      })
      expect(one.securityContext?.capabilities?.add).toBeUndefined()
      const user = one.securityContext?.runAsUser ?? pod.securityContext?.runAsUser
      expect(user).toBeGreaterThan(0)
      expect(Object.keys(one.resources?.requests ?? {})).toEqual(expect.arrayContaining(['cpu', 'memory']))
      expect(one.resources?.limits).toHaveProperty('memory')
    })

    test.each(containersOf(pod).map((one) => [one.name, one] as const))('%s writes to memory only', (_, one) => {
      const writable = (one.volumeMounts ?? []).filter((mount) => !mount.readOnly)
      expect(writable.map((mount) => mount.mountPath)).toEqual(['/tmp'])
      const tmp = pod.volumes?.find((volume) => volume.name === writable[0]!.name)
      expect(tmp?.emptyDir).toMatchObject({ medium: 'Memory', sizeLimit: '16Mi' })
    })

    test('every mounted ConfigMap is one of ours, by its hashed name', () => {
      const mounted = (pod.volumes ?? []).flatMap((volume) => volume.configMap?.name ?? [])
      const ours = manifests.filter(({ kind }) => kind === 'ConfigMap').map(({ metadata }) => metadata.name)
      expect(mounted.sort()).toEqual(ours.sort())
      for (const name of mounted) expect(name).toMatch(/-[a-z0-9]{10}$/)
    })

    test('startup and liveness ask /livez, readiness asks /readyz', () => {
      expect(container.startupProbe).toSatisfy((probe: IProbe) => asks(probe, '/livez', config.http.port))
      expect(container.livenessProbe).toSatisfy((probe: IProbe) => asks(probe, '/livez', config.http.port))
      expect(container.readinessProbe).toSatisfy((probe: IProbe) => asks(probe, '/readyz', config.http.port))
    })

    test('the pod leaves its Service before it stops', () => {
      const last = pod.containers[0]!
      const seconds = last.lifecycle?.preStop?.sleep?.seconds
      expect(seconds).toBeGreaterThan(0)
      expect(seconds).toBeLessThan(pod.terminationGracePeriodSeconds! / 2)
    })

    test('heap and cache leave a quarter of the memory limit free', () => {
      const heap = /^--max-old-space-size=(\d+)$/.exec(environment(container)['NODE_OPTIONS'] ?? '')
      // Kubernetes writes Gi, the configuration GiB.
      const limit = parseBytes(`${container.resources!.limits!['memory']!}B`)!
      const heapBytes = Number(heap?.[1]) * 2 ** 20
      expect(heapBytes).toBeLessThanOrEqual(limit * 0.75)
      // Buffers count with the heap (docs/decisions/0008): the cache has to fit in, and leave room.
      expect(heapBytes - config.cache.maxBytes).toBeGreaterThanOrEqual(192 * 2 ** 20)
      expect(container.resources!.requests!['memory']).toBe(container.resources!.limits!['memory'])
    })

    test('the gateway is told to read the mounted file', () => {
      expect(container.args).toEqual(['serve', '--config', '/etc/dimsegate/dimsegate.yaml'])
      const mount = container.volumeMounts?.find(({ mountPath }) => mountPath === '/etc/dimsegate')
      expect(mount).toMatchObject({ name: 'config', readOnly: true })
    })

    test('ports of the container are those of the configuration', () => {
      const ports = (container.ports ?? []).map((port) => `${port.name!} ${port.containerPort}`)
      if (config.http.host === '127.0.0.1') expect(ports).toEqual([])
      else
        expect(ports).toEqual([
          `http ${config.http.port}`,
          `dimse ${config.dimse.port}`,
          `ops ${config.ops.listen!.port}`,
        ])
    })

    test('Services, the disruption budget and network policies select the pods', () => {
      const labels = deployment.spec!.template.metadata!.labels
      const services = all(manifests, 'Service')
      const policies = all(manifests, 'NetworkPolicy')
      const budget = only(manifests, 'PodDisruptionBudget')
      expect(deployment.spec!.selector.matchLabels).toEqual(labels)
      expect(budget.spec?.selector?.matchLabels).toEqual(labels)
      for (const { spec } of services) expect(spec!.selector).toEqual(labels)
      for (const { spec } of policies) expect(spec!.podSelector?.matchLabels).toEqual(labels)

      const named = pod.containers.flatMap((one) => one.ports ?? []).map((port) => port.name)
      const used = [
        ...services.flatMap(({ spec }) => spec!.ports!.map((port) => port.targetPort)),
        ...policies.flatMap(({ spec }) => spec!.ingress!.flatMap((rule) => rule.ports!.map((port) => port.port))),
      ]
      for (const port of used) expect(named).toContain(port)
    })

    test('who comes by the network is asked who he is', () => {
      const { auth } = config
      expect(auth !== null && auth !== 'open' && auth.issuers.length).toBeGreaterThan(0)
    })

    test('nothing goes out but to name servers, the archives and the issuers of the configuration', () => {
      const policies = all(manifests, 'NetworkPolicy')
      const ports = policies.flatMap(({ spec }) => spec!.egress ?? []).flatMap((rule) => rule.ports ?? [])
      const issuers = config.auth === null || config.auth === 'open' ? [] : config.auth.issuers
      const https = issuers.map(({ issuer }) => Number(new URL(issuer).port || 443))
      const archives = config.archives.map(({ port }) => port)
      expect(new Set(ports.map(({ port }) => port))).toEqual(new Set([53, ...archives, ...https]))
    })
  })

  test('what is commented out in base is right too', { timeout: 60_000 }, async () => {
    await using folder = await temporaryFolder()
    const base = path.join(ROOT, 'k8s/base')
    for (const name of readdirSync(base)) {
      writeFileSync(path.join(folder.path, name), uncommented(readFileSync(path.join(base, name), 'utf8')))
    }
    const manifests = render(folder.path)
    for (const manifest of manifests) expect(() => validate(manifest)).not.toThrow()
    expect(compileErrors(manifests)).toEqual([])

    const deployment = only(manifests, 'Deployment')
    expect(gateway(deployment).envFrom).toEqual([{ secretRef: { name: 'dimsegate-secrets' } }])
    const named = podOf(deployment).volumes!.map((volume) => volume.name)
    for (const mount of gateway(deployment).volumeMounts!) expect(named).toContain(mount.name)
    expect(named).toContain('tls')
    const { audit } = configOf(manifests, deployment)
    const out = all(manifests, 'NetworkPolicy').flatMap(({ spec }) => spec!.egress!.map((rule) => rule.ports!))
    const ports = [audit!.syslog!.port, Number(new URL(audit!.fhir!.url).port || 443)]
    expect(out).toContainEqual(ports.map((port) => ({ port })))
  })

  test('base shuts the DIMSE port', () => {
    const openPorts = all(rendered.get('base')!, 'NetworkPolicy')
      .flatMap(({ spec }) => spec!.ingress!)
      .flatMap((rule) => rule.ports!.map(({ port }) => [port, rule.from!.every((peer) => peer.ipBlock)]))
    expect(openPorts).toEqual([
      ['http', false],
      ['ops', false],
    ])
  })

  test('overlays/deployment leaves the number of replicas to the autoscaler', () => {
    const manifests = rendered.get('overlays/deployment')!
    const { scaleTargetRef } = only(manifests, 'HorizontalPodAutoscaler').spec
    expect(only(manifests, 'Deployment').spec).not.toHaveProperty('replicas')
    expect(scaleTargetRef).toMatchObject({ kind: 'Deployment', name: 'dimsegate' })
  })

  test('overlays/sidecar runs the gateway as a native sidecar, confined as in base', () => {
    const sidecar = gateway(only(rendered.get('overlays/sidecar')!, 'Deployment'))
    const alone = gateway(only(rendered.get('base')!, 'Deployment'))
    expect(sidecar.restartPolicy).toBe('Always')
    expect(sidecar.image).toBe(alone.image)
    expect(sidecar.securityContext).toMatchObject(alone.securityContext!)
  })

  test('overlays/sidecar lets nobody in but the ingress controller', () => {
    const rules = all(rendered.get('overlays/sidecar')!, 'NetworkPolicy').flatMap(({ spec }) => spec!.ingress!)
    const controller = { matchLabels: { 'app.kubernetes.io/name': 'ingress-nginx' } }
    const itsNamespace = { matchLabels: { 'kubernetes.io/metadata.name': 'ingress-nginx' } }
    expect(rules).toEqual([
      { from: [{ namespaceSelector: itsNamespace, podSelector: controller }], ports: [{ port: 'http' }] },
    ])
  })

  test('overlays/sidecar has its viewer sign people in at the issuer of the gateway', () => {
    const manifests = rendered.get('overlays/sidecar')!
    const viewer = all(manifests, 'ConfigMap').find(({ data }) => data?.['app-config.js'] !== undefined)
    const page: { config?: { oidc: { authority: string; scope: string }[] } } = {}
    runInNewContext(viewer!.data!['app-config.js']!, { window: page })
    const { auth } = configOf(manifests, only(manifests, 'Deployment'))
    if (auth === null || auth === 'open') throw new Error('it asks nobody')
    expect(page.config!.oidc.map(({ authority }) => authority)).toEqual(auth.issuers.map(({ issuer }) => issuer))
    const { search, retrieve } = auth.issuers[0]!.scopes
    expect(page.config!.oidc[0]!.scope.split(' ')).toEqual(expect.arrayContaining([search[0], retrieve[0]]))
  })
}

function kubectlMinor(): number | undefined {
  const { status, stdout } = spawnSync('kubectl', ['version', '--client', '--output=json'], { encoding: 'utf8' })
  if (status !== 0) return undefined
  const { clientVersion } = JSON.parse(stdout) as { clientVersion: { minor: string } }
  return Number.parseInt(clientVersion.minor, 10)
}

/** Below k8s/, or anywhere by an absolute path. */
function render(name: string): Manifest[] {
  const yaml = execFileSync('kubectl', ['kustomize', path.resolve(ROOT, 'k8s', name)], { encoding: 'utf8' })
  return parseAllDocuments(yaml).map((document) => document.toJS() as Manifest)
}

/** With the keys and list items that are comments; prose has a space before its first colon. */
function uncommented(yaml: string): string {
  return yaml.replaceAll(/^( *)# (?= *(?:- )?\w+:(?: |$))/gm, '$1')
}

function validate(manifest: Manifest): void {
  const [Model] = KINDS[manifest.kind]
  new Model(manifest as never).validate()
}

/** What the compiler says of the objects, written down as constants of the types of their kinds. */
function compileErrors(manifests: readonly Manifest[]): string[] {
  const imports = Object.entries(KINDS).map(
    ([kind, [, module]]) => `import type { I${kind} } from 'kubernetes-models/${module}'`,
  )
  const constants = manifests.map(
    (manifest, index) => `export const o${index}: I${manifest.kind} = ${JSON.stringify(manifest)}`,
  )
  const file = path.join(ROOT, 'test/k8s.generated.ts')
  const source = [...imports, ...constants].join('\n')
  const options: ts.CompilerOptions = {
    strict: true,
    noEmit: true,
    skipLibCheck: true,
    target: ts.ScriptTarget.ES2024,
    module: ts.ModuleKind.NodeNext,
    types: [],
  }
  const disk = ts.createCompilerHost(options)
  const host: ts.CompilerHost = {
    ...disk,
    getSourceFile: (name, version) =>
      name === file ? ts.createSourceFile(name, source, version) : disk.getSourceFile(name, version),
  }
  const program = ts.createProgram([file], options, host)
  const diagnostics = [...program.getSyntacticDiagnostics(), ...program.getSemanticDiagnostics()]
  return diagnostics.map(({ messageText }) => ts.flattenDiagnosticMessageText(messageText, '\n'))
}

function all<K extends keyof Objects>(manifests: readonly Manifest[], kind: K): Objects[K][] {
  return manifests.filter((manifest) => manifest.kind === kind) as unknown as Objects[K][]
}

function only<K extends keyof Objects>(manifests: readonly Manifest[], kind: K): Objects[K] {
  const found = all(manifests, kind)
  if (found.length !== 1) throw new Error(`${found.length} objects of kind ${kind}, not one`)
  return found[0]!
}

function podOf(deployment: IDeployment): IPodSpec {
  return deployment.spec!.template.spec!
}

function containersOf(pod: IPodSpec): IContainer[] {
  return [...(pod.initContainers ?? []), ...pod.containers]
}

function gateway(deployment: IDeployment): IContainer {
  return containersOf(podOf(deployment)).find(({ name }) => name === 'dimsegate')!
}

function environment(container: IContainer): Record<string, string | undefined> {
  return Object.fromEntries((container.env ?? []).map(({ name, value }) => [name, value]))
}

/** What the gateway makes of the mounted file and its environment, the image's included. */
function configOf(manifests: readonly Manifest[], deployment: IDeployment): Config {
  const name = podOf(deployment).volumes?.find((volume) => volume.name === 'config')?.configMap?.name
  const map = all(manifests, 'ConfigMap').find(({ metadata }) => metadata?.name === name)
  const environmentOfImage = { DIMSEGATE_HTTP__HOST: '0.0.0.0' }
  const env = { ...environmentOfImage, ...environment(gateway(deployment)) }
  const { value, faults } = layEnvironment(parse(map!.data!['dimsegate.yaml']!), env)
  expect(faults).toEqual([])
  return parseConfig(value)
}

/** By the kubelet over the pod's address, or inside the container where only loopback is listened on. */
function asks(probe: IProbe, target: string, port: number): boolean {
  const { httpGet, exec } = probe
  if (httpGet) return httpGet.path === target && httpGet.port === 'http'
  return exec?.command?.at(-1)?.includes(`http://127.0.0.1:${port}${target}'`) ?? false
}
