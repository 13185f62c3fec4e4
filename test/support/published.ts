import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { afterEach, beforeEach } from 'vitest'
import type { ControlPlaneEvent, RelayEvent } from '../../src/cluster/events.ts'
import type { RequestEvent } from '../../src/http/app.ts'
import type { RefusedConnectionEvent } from '../../src/http/tls.ts'
import type { HabitEvent } from '../../src/pacs/habits.ts'
import type { DeliveryEvent } from '../../src/routing/delivery.ts'
import type { SpoolEvent } from '../../src/routing/spool/spool.ts'
import type { RefusedStoreEvent } from '../../src/pacs/delivery/events.ts'

interface Channels {
  'dimsegate:control-plane': ControlPlaneEvent
  'dimsegate:delivery': DeliveryEvent
  'dimsegate:habit': HabitEvent
  'dimsegate:refused-connection': RefusedConnectionEvent
  'dimsegate:refused-store': RefusedStoreEvent
  'dimsegate:relay': RelayEvent
  'dimsegate:request': RequestEvent
  'dimsegate:spool': SpoolEvent
}

/** What is published on a channel during a test, in its order. To be called once in a file, behind `keeper`. */
export function published<C extends keyof Channels>(channel: C): readonly Channels[C][] {
  const events: Channels[C][] = []
  const note = (event: unknown): void => void events.push(event as Channels[C])
  beforeEach(() => {
    events.length = 0
    subscribe(channel, note)
  })
  afterEach(() => void unsubscribe(channel, note))
  return events
}
