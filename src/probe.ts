import { request as plainRequest } from 'node:http'
import { request as tlsRequest } from 'node:https'
import { connect } from 'node:net'
import { type Config, ConfigError, loadConfig } from './config/config.ts'

// The health check of the image: node dist/probe.js. It goes by the configuration of the service, which DIMSEGATE_CONFIG
// and the other variables name, and loads little else, since it is started anew each time.

/** How long an answer may take, in ms. */
const ANSWER_MS = 4_000

/** Where a service with this configuration says that it lives, as seen from the machine it runs on. */
export function livezOf({ http, ops }: Pick<Config, 'http' | 'ops'>): string {
  const { host, port } = ops.listen ?? http
  const isTls = ops.listen === null && http.tls !== null
  const near = host === '0.0.0.0' ? '127.0.0.1' : host === '::' ? '::1' : host
  return `${isTls ? 'https' : 'http'}://${near.includes(':') ? `[${near}]` : near}:${port}/livez`
}

/** It wants a certificate of us, which we do not have: to ask would be an alert in its trail, each time. */
export function asksForCertificate({ http, ops }: Pick<Config, 'http' | 'ops'>): boolean {
  return ops.listen === null && http.tls?.clientCa != null && http.tls.clientCertificate === 'required'
}

/** Whether a service takes connections. */
export async function isListening(url: string): Promise<boolean> {
  const { hostname, port } = new URL(url)
  const socket = connect({ host: hostname.replace(/^\[|\]$/g, ''), port: Number(port), timeout: ANSWER_MS })
  const { promise, resolve } = Promise.withResolvers<boolean>()
  socket.on('connect', () => resolve(true))
  socket.on('timeout', () => resolve(false))
  socket.on('error', () => resolve(false))
  const isThere = await promise
  socket.destroy()
  return isThere
}

/** Whether a service lives. Whose certificate it has does not matter to that. */
export async function isAlive(url: string): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>()
  const options = { rejectUnauthorized: false, agent: false, timeout: ANSWER_MS }
  const request = (url.startsWith('https:') ? tlsRequest : plainRequest)(url, options, (response) => {
    response.resume()
    resolve(response.statusCode === 200)
  })
  request.on('timeout', () => request.destroy(new Error('It does not answer')))
  request.on('error', () => resolve(false))
  request.end()
  return promise
}

if (import.meta.main) {
  try {
    const config = await loadConfig({ env: process.env })
    const url = livezOf(config)
    const isWell = asksForCertificate(config) ? await isListening(url) : await isAlive(url)
    process.stdout.write(`${url} ${isWell ? 'answers' : 'does not answer as it should'}\n`)
    process.exitCode = isWell ? 0 : 1
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    process.stderr.write(`${error.message}\n`)
    process.exitCode = 1
  }
}
