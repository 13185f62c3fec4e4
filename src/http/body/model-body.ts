import type { Dataset } from '../../dicom/dataset.ts'
import { decodeJson, type DecodeOptions } from '../../dicomweb/decode/json.ts'
import { ModelError, utf8Of } from '../../dicomweb/decode/model-error.ts'
import { modelOfXml } from '../../dicomweb/decode/xml.ts'
import { parseContentType } from '../../dicomweb/negotiate/content-type.ts'
import type { HttpContext } from '../context.ts'
import { RequestError } from '../problem.ts'
import { bodyOf } from './request-body.ts'

/** A data set that a client writes: one request for commitment names up to MAX_INSTANCES. */
export const MAX_MODEL_BYTES = 2 * 1024 * 1024

const TYPES = ['application/dicom+json', 'application/json', 'application/dicom+xml']

/**
 * The one data set that is the body of a request (PS3.18 8.7.3): DICOM JSON, alone or in a list, or a Native DICOM Model.
 * @throws RequestError 408, 413 and 415; ContentTypeError; ModelError; what ends the connection
 */
export async function modelBody(c: HttpContext, options: DecodeOptions = {}): Promise<Dataset> {
  const body = bodyOf(c, { maxBytes: MAX_MODEL_BYTES })
  const header = c.req.header('content-type')
  const type = header === undefined ? undefined : parseContentType(header).type
  if (type === undefined || !TYPES.includes(type)) throw unsupported()
  const chunks: Uint8Array[] = []
  for await (const chunk of body) chunks.push(chunk)
  const text = utf8Of(Buffer.concat(chunks))
  return decodeJson(type === 'application/dicom+xml' ? await modelOfXml(text) : single(parsed(text)), options)
}

function unsupported(): RequestError {
  const accepted = 'application/dicom+json, application/dicom+xml'
  return new RequestError(415, 'UNSUPPORTED_MEDIA_TYPE', `The data set is sent as one of: ${accepted}.`, {
    Accept: accepted,
  })
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (cause) {
    // Its message repeats what was read.
    throw new ModelError('', 'is no JSON', { cause })
  }
}

function single(model: unknown): unknown {
  if (!Array.isArray(model)) return model
  if (model.length === 1) return model[0]
  throw new ModelError('', `is one of ${model.length}, where there is to be one`)
}
