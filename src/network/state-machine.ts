/** States of PS3.8 Table 9-1 to 9-5; the number is the standard's: 6 is Sta6. */
export type State = 1 | 2 | 3 | 4 | 5 | 6 | 7 | 8 | 9 | 10 | 11 | 12 | 13

/** Events of PS3.8 Table 9-10, by the standard's numbers. */
export type Event =
  | 'Evt1' // A-ASSOCIATE request (local)
  | 'Evt2' // transport connection confirmed
  | 'Evt3' // A-ASSOCIATE-AC received
  | 'Evt4' // A-ASSOCIATE-RJ received
  | 'Evt5' // transport connection indication
  | 'Evt6' // A-ASSOCIATE-RQ received
  | 'Evt7' // A-ASSOCIATE response: accept (local)
  | 'Evt8' // A-ASSOCIATE response: reject (local)
  | 'Evt9' // P-DATA request (local)
  | 'Evt10' // P-DATA-TF received
  | 'Evt11' // A-RELEASE request (local)
  | 'Evt12' // A-RELEASE-RQ received
  | 'Evt13' // A-RELEASE-RP received
  | 'Evt14' // A-RELEASE response (local)
  | 'Evt15' // A-ABORT request (local)
  | 'Evt16' // A-ABORT received
  | 'Evt17' // transport connection closed
  | 'Evt18' // ARTIM timer expired
  | 'Evt19' // unrecognized or invalid PDU received

/** Actions of PS3.8 Tables 9-6 to 9-9 with the state each leads to. AE-6 and AR-8 lead to one of two. */
const nextStates = {
  'AE-1': 4, // connect
  'AE-2': 5, // send A-ASSOCIATE-RQ
  'AE-3': 6, // confirm acceptance
  'AE-4': 1, // confirm rejection, close
  'AE-5': 2, // start ARTIM
  'AE-6': 3, // stop ARTIM; indicate (3), or send A-ASSOCIATE-RJ and start ARTIM (13)
  'AE-7': 6, // send A-ASSOCIATE-AC
  'AE-8': 13, // send A-ASSOCIATE-RJ, start ARTIM
  'DT-1': 6, // send P-DATA-TF
  'DT-2': 6, // deliver P-DATA
  'AR-1': 7, // send A-RELEASE-RQ
  'AR-2': 8, // indicate release
  'AR-3': 1, // confirm release, close
  'AR-4': 13, // send A-RELEASE-RP, start ARTIM
  'AR-5': 1, // stop ARTIM
  'AR-6': 7, // deliver P-DATA
  'AR-7': 8, // send P-DATA-TF
  'AR-8': 10, // release collision: requestor (9), acceptor (10)
  'AR-9': 11, // send A-RELEASE-RP
  'AR-10': 12, // confirm release
  'AA-1': 13, // send A-ABORT (service user), start ARTIM
  'AA-2': 1, // stop ARTIM, close
  'AA-3': 1, // indicate abort, close
  'AA-4': 1, // indicate provider abort
  'AA-5': 1, // stop ARTIM
  'AA-6': 13, // ignore the PDU
  'AA-7': 13, // send A-ABORT
  'AA-8': 13, // send A-ABORT (service provider), indicate, start ARTIM
} as const satisfies Record<string, State>

export type Action = keyof typeof nextStates

/** PS3.8 Table 9-10: one row an event, one column a state, Sta1 to Sta13; a dot where the event cannot occur. */
const table: Record<Event, string> = {
  //     Sta1 Sta2 Sta3 Sta4 Sta5 Sta6 Sta7 Sta8 Sta9 Sta10 Sta11 Sta12 Sta13
  Evt1: 'AE-1 .    .    .    .    .    .    .    .    .     .    .    .',
  Evt2: '.    .    .    AE-2 .    .    .    .    .    .     .    .    .',
  Evt3: '.    AA-1 AA-8 .    AE-3 AA-8 AA-8 AA-8 AA-8 AA-8  AA-8 AA-8 AA-6',
  Evt4: '.    AA-1 AA-8 .    AE-4 AA-8 AA-8 AA-8 AA-8 AA-8  AA-8 AA-8 AA-6',
  Evt5: 'AE-5 .    .    .    .    .    .    .    .    .     .    .    .',
  Evt6: '.    AE-6 AA-8 .    AA-8 AA-8 AA-8 AA-8 AA-8 AA-8  AA-8 AA-8 AA-7',
  Evt7: '.    .    AE-7 .    .    .    .    .    .    .     .    .    .',
  Evt8: '.    .    AE-8 .    .    .    .    .    .    .     .    .    .',
  Evt9: '.    .    .    .    .    DT-1 .    AR-7 .    .     .    .    .',
  Evt10: '.   AA-1 AA-8 .    AA-8 DT-2 AR-6 AA-8 AA-8 AA-8  AA-8 AA-8 AA-6',
  Evt11: '.   .    .    .    .    AR-1 .    .    .    .     .    .    .',
  Evt12: '.   AA-1 AA-8 .    AA-8 AR-2 AR-8 AA-8 AA-8 AA-8  AA-8 AA-8 AA-6',
  Evt13: '.   AA-1 AA-8 .    AA-8 AA-8 AR-3 AA-8 AA-8 AR-10 AR-3 AA-8 AA-6',
  Evt14: '.   .    .    .    .    .    .    AR-4 AR-9 .     .    AR-4 .',
  Evt15: '.   .    AA-1 AA-2 AA-1 AA-1 AA-1 AA-1 AA-1 AA-1  AA-1 AA-1 .',
  Evt16: '.   AA-2 AA-3 .    AA-3 AA-3 AA-3 AA-3 AA-3 AA-3  AA-3 AA-3 AA-2',
  Evt17: '.   AA-5 AA-4 AA-4 AA-4 AA-4 AA-4 AA-4 AA-4 AA-4  AA-4 AA-4 AR-5',
  Evt18: '.   AA-2 .    .    .    .    .    .    .    .     .    .    AA-2',
  Evt19: '.   AA-1 AA-8 .    AA-8 AA-8 AA-8 AA-8 AA-8 AA-8  AA-8 AA-8 AA-7',
}

const actions = new Map(
  Object.entries(table).map(([event, row]) => [
    event,
    row.split(/ +/).map((cell) => (cell === '.' ? undefined : (cell as Action))),
  ]),
)

export interface Step {
  readonly action: Action
  readonly next: State
}

/**
 * What an event does in a state, and where it leads. AE-6 leads to Sta3 (the caller rejects by Evt8 from there), and
 * AR-8 to Sta9 for the requestor of the association. Undefined: the event cannot occur in that state.
 */
export function step(state: State, event: Event, requestor: boolean): Step | undefined {
  const action = actions.get(event)?.[state - 1]
  if (action === undefined) return undefined
  return { action, next: action === 'AR-8' && requestor ? 9 : nextStates[action] }
}
