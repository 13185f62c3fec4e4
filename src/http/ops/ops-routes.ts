import type { Hono } from 'hono'
import type { HttpContext, HttpEnv } from '../context.ts'
import type { ReadinessCheck } from './readiness.ts'

/** The text of /metrics. */
export type Metrics = () => Promise<{ readonly type: string; readonly text: string }>

export interface OpsOptions {
  readonly readiness: ReadinessCheck
  readonly metrics: Metrics
  /** @throws RequestError for who may not see metrics and what the doctor finds; undefined where everybody may */
  readonly admit?: (c: HttpContext) => Promise<unknown>
}

/** Whether the service lives, and can serve: for probes, which do not sign in. */
export function probes(app: Hono<HttpEnv>, readiness: ReadinessCheck): void {
  app.get('/livez', (c) => c.text('ok'))
  app.get('/readyz', async (c) => {
    const answer = await readiness.ask()
    return c.json(answer, answer.status === 'ready' ? 200 : 503)
  })
}

/** The same, with metrics and what the doctor finds at each archive. */
export function operatorRoutes(app: Hono<HttpEnv>, { readiness, metrics, admit }: OpsOptions): void {
  app.get('/readyz', async (c, next) => {
    const verbose = c.req.query('verbose')
    if (verbose === undefined || verbose === 'false') return next()
    await admit?.(c)
    const answer = await readiness.askInDetail()
    return c.json(answer, answer.status === 'ready' ? 200 : 503)
  })
  probes(app, readiness)
  app.get('/metrics', async (c) => {
    await admit?.(c)
    const { type, text } = await metrics()
    return c.body(text, 200, { 'Content-Type': type })
  })
}
