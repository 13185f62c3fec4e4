import { accessPointType, outcomeIndicators, type AuditEvent, type AuditSource } from './event.ts'

// AuditEvent of FHIR R4 in the patterns of IHE BALP: query, read and create of what concerns a patient.

const DCM = 'http://dicom.nema.org/resources/ontology/DCM'
const EVENT_TYPE = 'http://terminology.hl7.org/CodeSystem/audit-event-type'
const INTERACTION = 'http://hl7.org/fhir/restful-interaction'
const ENTITY_TYPE = 'http://terminology.hl7.org/CodeSystem/audit-entity-type'
const OBJECT_ROLE = 'http://terminology.hl7.org/CodeSystem/object-role'
const SOURCE_TYPE = 'http://terminology.hl7.org/CodeSystem/security-source-type'
const PROFILES = 'https://profiles.ihe.net/ITI/BALP/StructureDefinition/IHE.BasicAudit.'

interface Coding {
  readonly system: string
  readonly code: string
  readonly display?: string
}

/** An event as a FHIR AuditEvent. */
export function fhirAuditEvent(event: AuditEvent, source: AuditSource): object {
  const { type, subtype, action, profile } = kindOf(event)
  return {
    resourceType: 'AuditEvent',
    // BALP describes what succeeded.
    ...(profile !== undefined && event.outcome === 'success' && { meta: { profile: [PROFILES + profile] } }),
    type,
    ...(subtype && { subtype: [subtype] }),
    action,
    recorded: event.at,
    outcome: outcomeIndicators[event.outcome],
    ...(event.reason !== undefined && { outcomeDesc: event.reason }),
    agent: agents(event, source),
    source: {
      ...(source.site !== undefined && { site: source.site }),
      observer: { display: `${source.aeTitle}@${source.host}` },
      type: [{ system: SOURCE_TYPE, code: '4', display: 'Application Server' }],
    },
    entity: entities(event),
  }
}

function kindOf(event: AuditEvent): { type: Coding; subtype?: Coding; action: string; profile?: string } {
  const rest = { system: EVENT_TYPE, code: 'rest', display: 'Restful Operation' }
  const patient = event.patient ? 'Patient' : ''
  switch (event.kind) {
    case 'application-start':
      return { ...activity, subtype: { system: DCM, code: '110120', display: 'Application Start' } }
    case 'application-stop':
      return { ...activity, subtype: { system: DCM, code: '110121', display: 'Application Stop' } }
    case 'query':
      return { type: rest, subtype: interaction('search'), action: 'E', profile: `${patient}Query` }
    case 'begin-transferring':
      return { type: { system: DCM, code: '110102', display: 'Begin Transferring DICOM Instances' }, action: 'E' }
    case 'instances-transferred':
      return event.verb === 'store'
        ? { type: rest, subtype: interaction('create'), action: 'C', profile: `${patient}Create` }
        : { type: rest, subtype: interaction('read'), action: 'R', profile: `${patient}Read` }
    case 'security-alert':
      return {
        type: { system: DCM, code: '110113', display: 'Security Alert' },
        subtype: { system: DCM, code: '110132', display: 'Use of Restricted Function' },
        action: 'E',
      }
  }
}

const activity = { type: { system: DCM, code: '110100', display: 'Application Activity' }, action: 'E' }

function interaction(code: string): Coding {
  return { system: INTERACTION, code, display: code }
}

/** BALP names the client the source of a query and of what is created, and the destination of what is read. */
function agents({ kind, user, address, archive, verb }: AuditEvent, { aeTitle, host }: AuditSource): object[] {
  const role = (code: string, display: string): object => ({ coding: [{ system: DCM, code, display }] })
  const [source, destination] = [role('110153', 'Source Role ID'), role('110152', 'Destination Role ID')]
  const server = { who: { display: `${aeTitle}@${host}` }, requestor: false, network: network(host) }
  if (kind === 'application-start' || kind === 'application-stop') {
    return [{ type: role('110150', 'Application'), ...server }]
  }
  const isTowards = verb !== 'retrieve'
  const client = {
    type: isTowards ? source : destination,
    who: { display: user?.name ?? 'unknown', ...(user?.authority !== undefined && { identifier: authority(user) }) },
    requestor: true,
    ...(address !== undefined && { network: network(address) }),
  }
  const behind = archive && {
    type: role('110152', 'Destination Role ID'),
    who: { display: archive.aeTitle },
    requestor: false,
    network: network(archive.host),
  }
  return [client, { type: isTowards ? destination : source, ...server }, ...(behind ? [behind] : [])]
}

function network(address: string): object {
  return { address, type: accessPointType(address) }
}

function authority({ name, authority: system }: NonNullable<AuditEvent['user']>): object {
  return { system, value: name }
}

function entities({ kind, patient, study, query, resource, bytes, spared }: AuditEvent): object[] {
  const all: object[] = []
  const role = (code: string, display: string): Coding => ({ system: OBJECT_ROLE, code, display })
  const system = { system: ENTITY_TYPE, code: '2', display: 'System Object' }
  if (patient) {
    const { id, issuer } = patient
    all.push({
      what: { identifier: { value: id, ...(issuer !== undefined && { assigner: { display: issuer } }) } },
      type: { system: ENTITY_TYPE, code: '1', display: 'Person' },
      role: role('1', 'Patient'),
    })
  }
  if (kind === 'query') {
    const text = `${resource ?? ''}${query === undefined || query === '' ? '' : `?${query}`}`
    all.push({ type: system, role: role('24', 'Query'), query: Buffer.from(text, 'utf8').toString('base64') })
  } else if (study) {
    const details = [
      ...Object.entries(study.instances).map(([uid, count]) => ({
        type: `SOPClass ${uid}`,
        valueString: String(count),
      })),
      ...(bytes === undefined ? [] : [{ type: 'Bytes', valueString: String(bytes) }]),
    ]
    all.push({
      // PS3.18 and FHIR ImagingStudy write UIDs so.
      what: { identifier: { system: 'urn:dicom:uid', value: `urn:oid:${study.uid}` } },
      type: system,
      role: role('3', 'Report'),
      ...(details.length > 0 && { detail: details }),
    })
  } else if (resource !== undefined) {
    const detail = spared === undefined ? {} : { detail: [{ type: 'Left out', valueString: String(spared) }] }
    all.push({ what: { display: resource }, type: system, role: role('13', 'Security Resource'), ...detail })
  }
  return all
}
