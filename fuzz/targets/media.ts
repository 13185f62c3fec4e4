import { isWebSyntax, transferSyntax } from '../../src/dicom/transfer-syntax.ts'
import { acceptOf, AcceptError } from '../../src/dicomweb/negotiate/accept.ts'
import { ContentTypeError, parseContentType } from '../../src/dicomweb/negotiate/content-type.ts'
import { negotiateInstances, negotiateModel } from '../../src/dicomweb/negotiate/negotiate.ts'
import {
  byWish,
  negotiateBulkData,
  representPixelData,
  representValue,
  wantedSyntaxes,
} from '../../src/dicomweb/negotiate/negotiate-bulk.ts'
import { IMAGE_TYPES, negotiateRendered } from '../../src/dicomweb/negotiate/negotiate-rendered.ts'
import { boundaryOf } from '../../src/dicomweb/multipart/boundary.ts'
import { MultipartError } from '../../src/dicomweb/multipart/error.ts'
import { outcome } from '../outcome.ts'
import { BrokenPropertyError, tokens, type Target } from '../target.ts'

const errors = [AcceptError, ContentTypeError, MultipartError]
const stored = ['1.2.840.10008.1.2.1', '1.2.840.10008.1.2.4.50', '1.2.840.10008.1.2.4.90', '1.2.3'].map(transferSyntax)

/** Accept and Content-Type (RFC 9110). The first line of an input is the query parameter, what is behind it the header. */
export const media: Target = {
  name: 'media',
  errors,
  dictionary: tokens(
    ...[
      'application/dicom',
      'application/dicom+json',
      'application/dicom+xml',
      'application/json',
      'multipart/related',
    ],
    ...[
      'multipart/form-data',
      'image/jpeg',
      'image/png',
      'image/*',
      '*/*',
      '*',
      'video/mp4',
      'application/octet-stream',
    ],
    ...[
      '; type="application/dicom"',
      '; transfer-syntax=',
      '1.2.840.10008.1.2.4.90',
      ';q=0',
      ';q=0.5',
      ';q=',
      '; boundary="b"',
    ],
    ...[',', ';', '"', '\\"', '=', '/', ' ', '\n', 'application/dicom json'],
  ),
  async seeds() {
    return tokens(
      'application/dicom json\n*/*',
      '\nmultipart/related; type="application/dicom"; transfer-syntax=*, application/dicom;q=0.5',
      '\nmultipart/related; type="image/jpeg"; transfer-syntax=1.2.840.10008.1.2.4.50;q=0.9, application/octet-stream',
      'image/png;q=0\nimage/*, image/gif;q=0.2',
      '\nmultipart/related; type="application/dicom+xml"; boundary="a b"',
      '*;q=.2\ntext/html, image/gif, image/jpeg, *; q=.2, */*; q=.2',
    )
  },
  run(input) {
    const [query = '', ...rest] = input.toString('latin1').split('\n')
    const header = rest.join('\n')
    outcome(errors, () => boundaryOf(parseContentType(header)))
    const accept = acceptOf(query === '' ? [] : query.split('&'), header === '' ? undefined : header)
    for (const { q } of [...accept.query, ...accept.header]) {
      if (!(q >= 0 && q <= 1)) throw new BrokenPropertyError(`A preference of ${q}`)
    }
    negotiateModel(accept)
    for (const single of [true, false]) {
      for (const { syntax, form } of negotiateInstances(accept, { single })) {
        if (syntax !== '*' && !isWebSyntax(transferSyntax(syntax)))
          throw new BrokenPropertyError(`Offered in ${syntax}`)
        if (form === 'single' && !single) throw new BrokenPropertyError('Many instances in one body')
      }
      const offers = negotiateBulkData(accept, { single })
      wantedSyntaxes(offers)
      if (byWish(offers).flat().length !== offers.length) throw new BrokenPropertyError('An offer is lost')
      for (const syntax of stored) representPixelData(offers, syntax, true)
      representValue(offers, 'application/pdf')
      negotiateRendered(accept, { media: IMAGE_TYPES, forms: single ? ['single'] : ['multipart', 'single'] })
    }
  },
}
