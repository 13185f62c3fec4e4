import { fields, type Fields, type Path, type Say } from '../fields.ts'

/** Routes that lead nowhere or ask nobody, and devices that nothing takes. Where there are other faults it may have any shape. */
export function reportRouting(value: Fields, say: Say): void {
  const { archives, dimse, devices, destinations, routes, pseudonyms } = value
  const archiveNames = listOf(archives).map(nameOf)
  const destinationNames = listOf(destinations).map((one) => fields(one).name)
  reportNames(destinationNames, archiveNames, say)
  const titles = listOf(archives).flatMap((one) => [
    fields(one).aeTitle,
    ...listOf(fields(fields(one).delivery).aeTitles),
  ])
  reportDevices(
    listOf(devices),
    { archiveNames, titles, dimse: fields(dimse), hasRoutes: listOf(routes).length > 0 },
    say,
  )
  const targets = [...archiveNames, ...destinationNames]
  const names = new Set<unknown>()
  for (const [index, route] of listOf(routes).entries()) {
    const { name, to, set, when } = fields(route)
    const path = ['routes', index]
    if (names.has(name)) say([...path, 'name'], 'is that of another route; expected a name of its own')
    names.add(name)
    reportTargets(listOf(to), targets, [...path, 'to'], say)
    const known = { device: listOf(devices).map(nameOf), archive: archiveNames, source: ['device', 'stow'] }
    reportNamed(when, known, [...path, 'when'], say)
    for (const [step, change] of listOf(set).entries()) {
      reportChange(fields(change), { archiveNames, pseudonyms }, [...path, 'set', step], say)
    }
  }
}

function reportNames(destinations: readonly unknown[], archives: readonly unknown[], say: Say): void {
  for (const [index, name] of destinations.entries()) {
    const path = ['destinations', index, 'name']
    if (archives.includes(name)) say(path, 'is that of an archive; expected a name of its own')
    else if (destinations.indexOf(name) < index) say(path, 'is that of another destination; expected a name of its own')
  }
}

function reportDevices(
  devices: readonly unknown[],
  {
    archiveNames,
    titles,
    dimse,
    hasRoutes,
  }: {
    readonly archiveNames: readonly unknown[]
    readonly titles: readonly unknown[]
    readonly dimse: Fields
    readonly hasRoutes: boolean
  },
  say: Say,
): void {
  if (devices.length > 0 && dimse.enabled === false) {
    say(['devices'], 'call our listener, while dimse.enabled is false; expected auto or true')
  }
  if (devices.length > 0 && !hasRoutes) {
    say(['devices'], 'bring instances that nothing takes; expected routes')
  }
  const seen = devices.map(nameOf)
  for (const [index, device] of devices.entries()) {
    if (seen.indexOf(nameOf(device)) < index) {
      say(['devices', index, 'name'], 'is that of another device; expected a name of its own')
    }
    const { worklist, commitment, aeTitle, calledAeTitle } = fields(device)
    const isOurs = (calledAeTitle ?? null) === null || calledAeTitle === dimse.aeTitle
    if (titles.includes(aeTitle) && isOurs) {
      say(
        ['devices', index, 'calledAeTitle'],
        'is that by which an archive with this aeTitle delivers; expected another one, which the device is to call',
      )
    }
    const named = { worklist, 'commitment.archive': fields(commitment).archive }
    for (const [key, archive] of Object.entries(named)) {
      if (typeof archive !== 'string' || archiveNames.includes(archive)) continue
      say(['devices', index, ...key.split('.')], `names ${archive}, which is none; ${expected(archiveNames)}`)
    }
  }
}

/** Devices and archives that a condition asks for and that are none: it would never be met. As the schema has made it. */
function reportNamed(
  condition: unknown,
  known: Readonly<Record<string, readonly unknown[]>>,
  path: Path,
  say: Say,
): void {
  const { of, subject, test } = fields(condition)
  for (const one of Array.isArray(of) ? (of as unknown[]) : [of]) {
    if (one !== undefined) reportNamed(one, known, path, say)
  }
  const { origin } = fields(subject)
  const names = typeof origin === 'string' ? known[origin] : undefined
  for (const wanted of names ? listOf(fields(test).in) : []) {
    if (names!.includes(wanted)) continue
    say([...path, String(origin)], `names ${String(wanted)}, which is none; ${expected(names!)}`)
  }
}

function reportTargets(to: readonly unknown[], targets: readonly unknown[], path: Path, say: Say): void {
  const names = to.map((one) => (typeof one === 'string' ? one : fields(one).name))
  for (const [index, name] of names.entries()) {
    if (!targets.includes(name)) {
      say([...path, index], `names ${String(name)}, which is neither archive nor destination; ${expected(targets)}`)
    } else if (names.indexOf(name) < index) say([...path, index], 'is there already; expected each once')
  }
}

/** As the schema has made it of a step, or as it was written. */
function reportChange(
  change: Fields,
  { archiveNames, pseudonyms }: { readonly archiveNames: readonly unknown[]; readonly pseudonyms: unknown },
  path: Path,
  say: Say,
): void {
  const asked = change.kind === 'fromWorklist' ? change : fields(change.fromWorklist)
  if (typeof asked.archive === 'string' && !archiveNames.includes(asked.archive)) {
    say([...path, 'fromWorklist', 'archive'], `names ${asked.archive}, which is none; ${expected(archiveNames)}`)
  }
  const isKeyed =
    change.kind === 'hash' ||
    change.kind === 'profile' ||
    change.profile !== undefined ||
    change.hash !== undefined ||
    (change.kind === 'shiftDates' && change.days === undefined) ||
    typeof fields(change.shiftDates).within === 'number'
  if (isKeyed && (pseudonyms === null || pseudonyms === undefined)) {
    say(path, 'makes pseudonyms; expected pseudonyms.key, which nobody else knows')
  }
}

function expected(names: readonly unknown[]): string {
  return `expected: ${names.map(String).join(', ')}`
}

function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? (value as unknown[]) : []
}

/** As the schema fills it in. */
function nameOf(entry: unknown): unknown {
  const { name, aeTitle } = fields(entry)
  return name ?? (typeof aeTitle === 'string' ? aeTitle.toLowerCase() : undefined)
}
