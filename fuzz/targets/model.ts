import { Attribute } from '../../src/dicom/attributes.ts'
import { encodeDataset, parseDataset } from '../../src/dicom/dataset-codec.ts'
import { MalformedDataSetError } from '../../src/dicom/element-reader.ts'
import { EXPLICIT_VR_LITTLE_ENDIAN } from '../../src/dicom/transfer-syntax.ts'
import { encodeJson } from '../../src/dicomweb/encode/json.ts'
import { Repeats } from '../../src/dicomweb/encode/repeats.ts'
import { reportHtml, reportText } from '../../src/dicomweb/encode/report.ts'
import { encodeXml } from '../../src/dicomweb/encode/xml.ts'
import { Dataset } from '../../src/dicom/dataset.ts'
import { dataSetTokens } from '../seeds.ts'
import { BrokenPropertyError, same, type Target } from '../target.ts'
import { chosen, dataSetIn, dataSetSeeds } from './data-set.ts'

/** Characters that an XML document may have (XML 1.0, 2.2), and no tag among text. */
const LEGAL = /^[\t\n\r\x20-\uD7FF\uE000-\uFFFD\u{10000}-\u{10FFFF}]*$/u

/** Values of data sets as DICOM JSON (PS3.18 F.2) as Native DICOM Model (PS3.19 A.1), and as a report. */
export const model: Target = {
  name: 'model',
  errors: [MalformedDataSetError],
  dictionary: dataSetTokens,
  maxLength: 16_384,
  async seeds() {
    return [
      ...(await dataSetSeeds()),
      chosen(EXPLICIT_VR_LITTLE_ENDIAN, encodeDataset(everyKind(), EXPLICIT_VR_LITTLE_ENDIAN)),
    ]
  },
  run(input) {
    const { syntax, data } = dataSetIn(input)
    const dataset = parseDataset(data, syntax)
    const json = encodeJson(dataset)
    try {
      JSON.parse(json)
    } catch (error) {
      throw new BrokenPropertyError(`It is no JSON: ${String(error)}`)
    }
    if (!json.isWellFormed()) throw new BrokenPropertyError('Half a surrogate pair is in the JSON')
    const repeats = new Repeats()
    encodeJson(dataset, {}, repeats)
    same('What it repeats makes another JSON of it', json, encodeJson(dataset, {}, repeats))
    const xml = encodeXml(dataset)
    if (!LEGAL.test(xml)) throw new BrokenPropertyError('It is no XML')
    if (!LEGAL.test(reportHtml(dataset))) throw new BrokenPropertyError('It is no HTML')
    reportText(dataset)
  },
}

function everyKind(): Dataset {
  return new Dataset()
    .set(Attribute.SpecificCharacterSet, ['', 'ISO 2022 IR 87'])
    .set(Attribute.PatientName, 'Yamada^Tarou=\u5c71\u7530^\u592a\u90ce')
    .set(Attribute.StudyDate, '20240131')
    .set(Attribute.NumberOfFrames, '3')
    .set(Attribute.Rows, 512)
}
