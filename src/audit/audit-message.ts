import { accessPointType, outcomeIndicators, type AuditEvent, type AuditKind, type AuditSource } from './event.ts'

// The audit message of PS3.15 A.5 in XML. Names are those of its schema (A.5.1), codes those of PS3.16 annex D.

interface Code {
  readonly code: string
  readonly meaning: string
}

const events: Readonly<Record<AuditKind, Code & { readonly action: string; readonly type?: Code }>> = {
  'application-start': {
    ...{ code: '110100', meaning: 'Application Activity', action: 'E' },
    type: { code: '110120', meaning: 'Application Start' },
  },
  'application-stop': {
    ...{ code: '110100', meaning: 'Application Activity', action: 'E' },
    type: { code: '110121', meaning: 'Application Stop' },
  },
  query: { code: '110112', meaning: 'Query', action: 'E' },
  'begin-transferring': { code: '110102', meaning: 'Begin Transferring DICOM Instances', action: 'E' },
  'instances-transferred': { code: '110104', meaning: 'DICOM Instances Transferred', action: 'R' },
  'security-alert': {
    ...{ code: '110113', meaning: 'Security Alert', action: 'E' },
    type: { code: '110132', meaning: 'Use of Restricted Function' },
  },
}

const APPLICATION: Code = { code: '110150', meaning: 'Application' }
const SOURCE: Code = { code: '110153', meaning: 'Source Role ID' }
const DESTINATION: Code = { code: '110152', meaning: 'Destination Role ID' }

/** An event as an AuditMessage of PS3.15 A.5.1. */
export function auditMessage(event: AuditEvent, source: AuditSource): string {
  const { code, meaning, action, type } = events[event.kind]
  const isImport = event.kind === 'instances-transferred' && event.verb === 'store'
  const identification = element(
    'EventIdentification',
    {
      EventActionCode: isImport ? 'C' : action,
      EventDateTime: event.at,
      EventOutcomeIndicator: outcomeIndicators[event.outcome],
    },
    [
      coded('EventID', { code, meaning }),
      ...(type ? [coded('EventTypeCode', type)] : []),
      ...(event.reason === undefined ? [] : [element('EventOutcomeDescription', {}, [escaped(event.reason)])]),
    ],
  )
  const parts = [identification, ...participants(event, source), sourceOf(source), ...objects(event)]
  return `<?xml version="1.0" encoding="UTF-8"?>${element('AuditMessage', {}, parts)}`
}

/** The one who asks, ourselves, and the archive: data comes from a source and goes to a destination. */
function participants(event: AuditEvent, source: AuditSource): string[] {
  const { user, address, archive, verb, kind } = event
  if (kind === 'application-start' || kind === 'application-stop') return [gateway(source, APPLICATION, false)]
  // The query goes to the archive, as what is stored does; what is retrieved comes from it.
  const isTowards = verb !== 'retrieve'
  const asks = element(
    'ActiveParticipant',
    {
      UserID: user?.name ?? 'unknown',
      AlternativeUserID: user?.authority,
      UserIsRequestor: 'true',
      NetworkAccessPointID: address,
      NetworkAccessPointTypeCode: address === undefined ? undefined : accessPointType(address),
    },
    kind === 'security-alert' ? [] : [coded('RoleIDCode', isTowards ? SOURCE : DESTINATION)],
  )
  if (!archive) return [asks, gateway(source, APPLICATION, false)]
  const answers = element(
    'ActiveParticipant',
    {
      UserID: archive.aeTitle,
      AlternativeUserID: `AETITLES=${archive.aeTitle}`,
      UserIsRequestor: 'false',
      NetworkAccessPointID: archive.host,
      NetworkAccessPointTypeCode: accessPointType(archive.host),
    },
    kind === 'security-alert' ? [] : [coded('RoleIDCode', isTowards ? DESTINATION : SOURCE)],
  )
  return [asks, gateway(source, APPLICATION, false), answers]
}

function gateway({ aeTitle, host }: AuditSource, role: Code, isRequestor: boolean): string {
  return element(
    'ActiveParticipant',
    {
      UserID: String(process.pid),
      AlternativeUserID: `AETITLES=${aeTitle}`,
      UserIsRequestor: String(isRequestor),
      NetworkAccessPointID: host,
      NetworkAccessPointTypeCode: accessPointType(host),
    },
    [coded('RoleIDCode', role)],
  )
}

function sourceOf({ aeTitle, host, site }: AuditSource): string {
  // 4: application server process.
  const type = element('AuditSourceTypeCode', { 'csd-code': '4' })
  return element('AuditSourceIdentification', { AuditEnterpriseSiteID: site, AuditSourceID: `${aeTitle}@${host}` }, [
    type,
  ])
}

function objects({ kind, study, patient, query, resource, reason, bytes, spared }: AuditEvent): string[] {
  const all: string[] = []
  if (kind === 'query') {
    all.push(
      object({ id: resource ?? '', type: '2', role: '24', idType: URI }, [
        element('ParticipantObjectQuery', {}, [base64(query ?? '')]),
      ]),
    )
  }
  if (kind === 'security-alert') {
    all.push(
      object({ id: resource ?? '', type: '2', role: '13', idType: URI }, [
        element('ParticipantObjectName', {}, [escaped(resource ?? '')]),
        element('ParticipantObjectDetail', { type: 'Alert Description', value: base64(alertText(reason, spared)) }),
      ]),
    )
  }
  if (study) {
    const classes = Object.entries(study.instances).map(([uid, count]) =>
      element('SOPClass', { UID: uid, NumberOfInstances: String(count) }),
    )
    all.push(
      object({ id: study.uid, type: '2', role: '3', idType: STUDY_INSTANCE_UID }, [
        element('ParticipantObjectName', {}, [escaped(study.uid)]),
        ...(bytes === undefined
          ? []
          : [element('ParticipantObjectDetail', { type: 'Bytes', value: base64(String(bytes)) })]),
        ...(classes.length > 0 ? [element('ParticipantObjectDescription', {}, classes)] : []),
      ]),
    )
  }
  if (patient) {
    // PS3.15 A.5.2: in the form of an HL7 identifier, with its issuer.
    const id = patient.issuer === undefined ? patient.id : `${patient.id}^^^${patient.issuer}`
    all.push(
      object({ id, type: '1', role: '1', idType: PATIENT_NUMBER }, [
        element('ParticipantObjectName', {}, [escaped(patient.id)]),
      ]),
    )
  }
  return all
}

function alertText(reason = '', spared = 0): string {
  return spared === 0 ? reason : `${reason}, and ${spared} like it before that were left out`
}

/** What an object's ID is, by PS3.15 A.5.1.2.4 and PS3.16. */
const URI = { code: '12', meaning: 'URI', system: 'RFC-3881' }
const PATIENT_NUMBER = { code: '2', meaning: 'Patient Number', system: 'RFC-3881' }
const STUDY_INSTANCE_UID = { code: '110180', meaning: 'Study Instance UID', system: 'DCM' }

interface ObjectId {
  readonly id: string
  readonly type: string
  readonly role: string
  readonly idType: Code & { readonly system: string }
}

function object({ id, type, role, idType }: ObjectId, content: readonly string[]): string {
  const attributes = {
    ParticipantObjectID: id,
    ParticipantObjectTypeCode: type,
    ParticipantObjectTypeCodeRole: role,
  }
  return element('ParticipantObjectIdentification', attributes, [
    coded('ParticipantObjectIDTypeCode', idType, idType.system),
    ...content,
  ])
}

function coded(name: string, { code, meaning }: Code, system = 'DCM'): string {
  return element(name, { 'csd-code': code, codeSystemName: system, originalText: meaning })
}

function element(
  name: string,
  attributes: Readonly<Record<string, string | undefined>>,
  content: readonly string[] = [],
): string {
  const told = Object.entries(attributes).flatMap(([key, value]) =>
    value === undefined ? [] : [` ${key}="${escaped(value)}"`],
  )
  return content.length === 0 ? `<${name}${told.join('')}/>` : `<${name}${told.join('')}>${content.join('')}</${name}>`
}

function base64(text: string): string {
  return Buffer.from(text, 'utf8').toString('base64')
}

/** XML 1.0 2.2 has no way to write other control characters, nor half a character. */
function escaped(text: string): string {
  return text
    .toWellFormed()
    .replace(/[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ufffe\uffff]/g, '\ufffd')
    .replace(/[&<>"'\t\r\n]/g, (character) => `&#${character.charCodeAt(0)};`)
}
