import { Hono } from 'hono'
import type { Config } from '../../config/config.ts'
import { AllowedHosts, ownNameOnly } from '../allowed-hosts.ts'
import type { HttpEnv } from '../context.ts'
import { problemOf } from '../problem.ts'
import { securityHeaders } from '../security-headers.ts'
import { operatorRoutes, type OpsOptions } from './ops-routes.ts'

/** What is served at `ops.listen`: to whoever reaches it, by a name of ours. */
export function createOpsApp(config: Config, options: Omit<OpsOptions, 'admit'>): Hono<HttpEnv> {
  const app = new Hono<HttpEnv>()
  // It is by plain HTTP, and no page has business here.
  const secure = securityHeaders({ ...config.http, tls: null, cors: { ...config.http.cors, origins: [] } })
  app.use((c, next) => {
    c.set('config', config)
    secure(c.env)
    return next()
  })
  const { allowedHosts } = config.http
  const own = config.ops.listen ? [config.ops.listen.host] : []
  app.use(ownNameOnly(new AllowedHosts({ ...config.http, allowedHosts: [...allowedHosts, ...own] })))
  operatorRoutes(app, options)
  app.notFound((c) => c.text('Served here: /livez, /readyz, /readyz?verbose, /metrics\n', 404))
  app.onError((error, c) => {
    const { problem, headers } = problemOf(error, c.req.path)
    return c.body(JSON.stringify(problem), problem.status as 500, {
      ...headers,
      'Content-Type': 'application/problem+json',
    })
  })
  return app
}
