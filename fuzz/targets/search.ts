import { parseDataset, encodeDataset } from '../../src/dicom/dataset-codec.ts'
import { EXPLICIT_VR_LITTLE_ENDIAN } from '../../src/dicom/transfer-syntax.ts'
import { parseSearchParams, SearchParamError } from '../../src/dicomweb/params/search-params.ts'
import { InvalidKeyError, UnencodableKeyError } from '../../src/pacs/search/errors.ts'
import { fits } from '../../src/pacs/search/post-filter.ts'
import { identifier } from '../../src/pacs/search/query.ts'
import { dump } from '../outcome.ts'
import { BrokenPropertyError, same, tokens, type Target } from '../target.ts'

/** The query string of a search (PS3.18 8.3.4), the identifier that it becomes, and its own answers held against it. */
export const search: Target = {
  name: 'search',
  errors: [SearchParamError, InvalidKeyError, UnencodableKeyError],
  dictionary: tokens(
    ...[
      'PatientName=',
      'PatientID=',
      'StudyDate=',
      'StudyTime=',
      'AcquisitionDateTime=',
      'ModalitiesInStudy=',
      'StudyInstanceUID=',
    ],
    ...[
      '00080020=',
      '00100010=',
      'RequestAttributesSequence.',
      '00400275.',
      'ScheduledProcedureStepID=',
      'SeriesNumber=',
      'Rows=',
    ],
    ...[
      'PatientAge=',
      'PatientWeight=',
      '00091001=',
      '00081140.00081150=',
      'OffendingElement=',
      'includefield=',
      'all',
      'limit=',
    ],
    ...[
      'offset=',
      'fuzzymatching=',
      'emptyvaluematching=',
      'multiplevaluematching=',
      'true',
      'false',
      '&',
      '=',
      ',',
      '%5C',
      '%22%22',
    ],
    ...[
      '*',
      '?',
      '-',
      '20240101-20240131',
      '101500.123456',
      '+0100',
      '1e9',
      '042Y',
      '%C3%A4',
      '%00',
      '%E5%B1%B1',
      '1.2.3',
      '.',
    ],
  ),
  async seeds() {
    return tokens(
      'PatientName=Doe*&StudyDate=20240101-20240131&limit=10&offset=5&includefield=all',
      'StudyInstanceUID=1.2.3,1.2.4&fuzzymatching=true&ModalitiesInStudy=CT%5CMR',
      'RequestAttributesSequence.ScheduledProcedureStepID=A&00091001=x&emptyvaluematching=true&PatientID=%22%22',
      'StudyTime=10-11&SeriesNumber=3&PatientAge=042Y&PatientWeight=-1.5e3&00280010=512&PatientName=%C3%A4%3D%E5%B1%B1',
      'AcquisitionDateTime=20240101101500.123456%2B0100-&multiplevaluematching=true&00720026=00100010',
    )
  },
  run(input) {
    const params = parseSearchParams(new URLSearchParams(input.toString('latin1')))
    if (!(params.offset >= 0) || (params.limit !== undefined && !(params.limit >= 0))) {
      throw new BrokenPropertyError('A limit below 0')
    }
    const query = { level: 'STUDY', keys: params.match } as const
    const sent = identifier(query, { query: 'ISO_IR 192', always: false })
    const read = parseDataset(encodeDataset(sent, EXPLICIT_VR_LITTLE_ENDIAN), EXPLICIT_VR_LITTLE_ENDIAN)
    same('An identifier that is written and read again is another', dump(sent), dump(read))
    for (const loose of [true, false]) fits(read, params.match, { fuzzy: params.fuzzyMatching, loose })
  },
}
