import { channel } from 'node:diagnostics_channel'

/**
 * What an archive has been found to do in its own way.
 * `uncounted`: a retrieve ended well, and nothing else tells whether all has come: neither counts nor lists.
 * `late-delivery`: it answers a C-MOVE before it delivers.
 * `no-get`: it gives nothing by C-GET, and is asked by C-MOVE.
 * `no-move`: it gives nothing by C-MOVE, and is asked by C-GET.
 * `moved-classes`: of some SOP classes it gives nothing by C-GET, and is asked by C-MOVE.
 * `faster-split`: small instances come faster over several associations: the series of a study are fetched at once.
 * `single-uids`: it refuses or ignores lists of UIDs, and is asked for one at a time.
 */
export type Habit =
  'uncounted' | 'late-delivery' | 'no-get' | 'no-move' | 'moved-classes' | 'faster-split' | 'single-uids'

/** What each of them means, for those who look after the archive. */
export const habitSentences: Readonly<Record<Habit, string>> = {
  uncounted: 'It neither counts nor lists instances: whether all have come cannot be told, and it is believed',
  'late-delivery':
    'It answers a C-MOVE before it has delivered: instances are waited for as long as it says there are more',
  'no-get': 'It gives nothing by C-GET: it is asked by C-MOVE',
  'no-move': 'It gives nothing by C-MOVE: it is asked by C-GET',
  'moved-classes': 'Of some SOP classes it gives nothing by C-GET: it is asked for these by C-MOVE',
  'faster-split': 'Small instances come faster over several associations: the series of a study are fetched at once',
  'single-uids': 'It cannot match lists of UIDs: it is asked for one at a time',
}

/** Published when a habit of an archive is seen for the first time. */
export interface HabitEvent {
  readonly archive: string
  readonly habit: Habit
}

const seen = channel('dimsegate:habit')

/** The habits of one archive, each told once. */
export class Habits {
  readonly #archive: string
  readonly #known = new Set<Habit>()

  constructor(archive: string) {
    this.#archive = archive
  }

  get all(): readonly Habit[] {
    return [...this.#known]
  }

  has(habit: Habit): boolean {
    return this.#known.has(habit)
  }

  learn(habit: Habit): void {
    if (this.#known.has(habit)) return
    this.#known.add(habit)
    if (seen.hasSubscribers) seen.publish({ archive: this.#archive, habit } satisfies HabitEvent)
  }
}
