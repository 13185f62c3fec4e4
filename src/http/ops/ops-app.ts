import { Hono } from 'hono'
import type { HttpEnv } from '../context.ts'
import { operatorRoutes, type OpsOptions } from './ops-routes.ts'

/** What is served at `ops.listen`: to whoever reaches it. */
export function createOpsApp(options: Omit<OpsOptions, 'admit'>): Hono<HttpEnv> {
  const app = new Hono<HttpEnv>()
  operatorRoutes(app, options)
  app.notFound((c) => c.text('Served here: /livez, /readyz, /readyz?verbose, /metrics\n', 404))
  return app
}
