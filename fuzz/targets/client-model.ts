import type { Dataset } from '../../src/dicom/dataset.ts'
import { encodeDataset, parseDataset } from '../../src/dicom/dataset-codec.ts'
import { MalformedDataSetError } from '../../src/dicom/element-reader.ts'
import { EXPLICIT_VR_LITTLE_ENDIAN } from '../../src/dicom/transfer-syntax.ts'
import { requestedInstances, TooManyInstancesError } from '../../src/dicomweb/decode/commitment-request.ts'
import { decodeJson } from '../../src/dicomweb/decode/json.ts'
import { ModelError } from '../../src/dicomweb/decode/model-error.ts'
import { modelOfXml } from '../../src/dicomweb/decode/xml.ts'
import { encodeJson } from '../../src/dicomweb/encode/json.ts'
import { BrokenPropertyError, same, tokens, type Target } from '../target.ts'

const json = [
  '{"00100010":{"vr":"PN","Value":[{"Alphabetic":"A^B","Phonetic":"c"},null]},"00280010":{"vr":"US","Value":[512]}}',
  '{"00081199":{"vr":"SQ","Value":[{"00081150":{"vr":"UI","Value":["1.2"]},"00081155":{"vr":"UI","Value":["1.3"]}},{}]}}',
  '{"00420011":{"vr":"OB","InlineBinary":"AQID"},"00280030":{"vr":"DS","Value":[0.1,"1e5"]},"00091001":{"vr":"FD","Value":["NaN"]}}',
]
const head = '<NativeDicomModel xmlns="http://dicom.nema.org/PS3.19/models/NativeDICOM">'
const xml = [
  `${head}<DicomAttribute tag="00100010" vr="PN"><PersonName number="1"><Alphabetic><FamilyName>A</FamilyName></Alphabetic></PersonName></DicomAttribute></NativeDicomModel>`,
  `${head}<DicomAttribute tag="00400275" vr="SQ"><Item number="1"><DicomAttribute tag="00400007" vr="LO"><Value number="2">a&amp;b</Value></DicomAttribute></Item></DicomAttribute></NativeDicomModel>`,
  `${head}<DicomAttribute tag="00090001" vr="OB" privateCreator="ACME"><InlineBinary>AQI=</InlineBinary></DicomAttribute></NativeDicomModel>`,
]

/** Data sets that clients write, as DICOM JSON or as Native DICOM Model: what begins with `<` is the latter. */
export const clientModel: Target = {
  name: 'client-model',
  errors: [ModelError, TooManyInstancesError],
  dictionary: tokens(
    ...['"vr":"', '"Value":[', '"InlineBinary":"', '"BulkDataURI":"', 'null', '{}', '"00080005"', '"Alphabetic"'],
    ...[
      '<Value number="',
      '<Item number="',
      '<DicomAttribute tag="',
      '<![CDATA[',
      '&#x',
      '<!DOCTYPE',
      ' xmlns:a="',
      '</',
    ],
    ...['SQ', 'UN', 'OW', 'AT', 'UV', 'IS', '\u00e4', '\\', '^', '=', '1e400', '-0', '"__proto__"'],
  ),
  maxLength: 16_384,
  seeds() {
    return Promise.resolve([...json, ...xml].map((text) => Buffer.from(text)))
  },
  async run(input) {
    const text = input.toString('utf8')
    const dataset = await decodeJson(text.startsWith('<') ? await modelOfXml(text) : parsed(text))
    let sent
    try {
      sent = parseDataset(encodeDataset(dataset, EXPLICIT_VR_LITTLE_ENDIAN), EXPLICIT_VR_LITTLE_ENDIAN)
    } catch (error) {
      if (error instanceof MalformedDataSetError) throw new BrokenPropertyError(`It is no data set: ${error.message}`)
      throw error
    }
    const again = modelOf(sent)
    same('What is sent of it is another', JSON.stringify(again), JSON.stringify(modelOf(await decodeJson(again))))
    requestedInstances(dataset)
  },
}

/** Without its character set: that is named where a text needs it, though nothing of the text may be left. */
function modelOf(dataset: Dataset): unknown {
  const { '00080005': _, ...model } = JSON.parse(encodeJson(dataset)) as Record<string, unknown>
  return model
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (cause) {
    throw new ModelError('', 'is no JSON', { cause })
  }
}
