import { covers, type InstanceUids, type Selection } from '../instance/uids.ts'
import type { Flight } from './flight.ts'
import { routeKey, type Route } from './route.ts'

/** How a flight is found. */
interface Listed {
  readonly route: string
  /** Others may join it. */
  isShared: boolean
}

/** The retrievals under way. */
export class Flights {
  readonly #flights = new Map<Flight, Listed>()

  /** Lists one until it is over. `isShared`: others may join it. */
  add(flight: Flight, route: Route, isShared: boolean): void {
    this.#flights.set(flight, { route: routeKey(route), isShared })
    void flight.over.then(() => this.#flights.delete(flight))
  }

  get all(): readonly Flight[] {
    return [...this.#flights.keys()]
  }

  /** One that brings a selection, to be joined. */
  under(route: Route, selection: Selection): Flight | undefined {
    for (const flight of this.#of(route)) {
      if (!flight.open || !covers(flight.selection, selection)) continue
      // An instance that somebody looks at does not wait for a series that nobody has asked for.
      if (selection.instance === undefined || !flight.isAhead) return flight
      if (flight.total === 0) flight.dropAhead()
    }
    return undefined
  }

  /** One of an instance that is read in parts, the farthest first; it has the bytes from one to another. */
  carrier(route: Route, uids: InstanceUids, from: number, to?: number): Flight | undefined {
    const { study, series, sopInstance } = uids
    const selection = { study, series, instance: sopInstance }
    const carriers = [...this.#of(route)].filter(
      (flight) => covers(flight.selection, selection) && flight.carries(uids, from, to),
    )
    return carriers.sort((a, b) => b.total - a.total)[0]
  }

  /** What was fetched ahead of a selection comes with it. */
  dropAhead(route: Route, selection: Selection): void {
    for (const flight of this.#of(route)) if (covers(selection, flight.selection)) flight.dropAhead()
  }

  /** An instance was stored: what brings it may bring what it was before. */
  outdate(route: Route, { study, series, sopInstance }: InstanceUids): void {
    for (const [flight, listed] of this.#flights) {
      const isOf = covers(flight.selection, { study, series, instance: sopInstance })
      if (listed.route !== routeKey(route) || !isOf) continue
      flight.outdate(sopInstance)
      listed.isShared = false
    }
  }

  *#of(route: Route): Generator<Flight> {
    const key = routeKey(route)
    for (const [flight, { route: own, isShared }] of this.#flights) if (isShared && own === key) yield flight
  }
}
