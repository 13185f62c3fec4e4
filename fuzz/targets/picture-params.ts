import { ParameterError } from '../../src/dicomweb/params/parameter.ts'
import { MAX_SIDE, parseRenderedParams, type WindowParam } from '../../src/dicomweb/params/rendered-params.ts'
import { parseUriParams, UnsupportedUriParamError } from '../../src/dicomweb/params/uri-params.ts'
import { outcome } from '../outcome.ts'
import { BrokenPropertyError, tokens, type Target } from '../target.ts'

const errors = [ParameterError, UnsupportedUriParamError]

/** The query strings of rendered resources (PS3.18 8.3.5) and of the URI service (PS3.18 9.1.2). */
export const pictureParams: Target = {
  name: 'picture-params',
  errors,
  maxLength: 8_192,
  dictionary: tokens(
    ...[
      'viewport=',
      'window=',
      'quality=',
      'annotation=',
      'iccprofile=',
      'patient',
      'technique',
      'linear',
      'linear-exact',
    ],
    ...[
      'sigmoid',
      'requestType=WADO',
      'rows=',
      'columns=',
      'region=',
      'windowCenter=',
      'windowWidth=',
      'imageQuality=',
    ],
    ...[
      'frameNumber=',
      'transferSyntax=',
      'presentationUID=',
      'anonymize=',
      '&',
      ',',
      '-',
      '.',
      '0.5',
      '1e99',
      'srgb',
      ',,',
      '16384',
      '%2C',
    ],
  ),
  async seeds() {
    return tokens(
      'viewport=512,512,0,0,-10,20.5&window=40,400,linear&quality=90&annotation=patient,technique&iccprofile=srgb',
      'viewport=100,100&window=-1.5e3,2,sigmoid',
      'requestType=WADO&rows=100&columns=200&region=0.1,0.2,0.5,1.0&windowCenter=40&windowWidth=400&imageQuality=80&frameNumber=2',
      'requestType=WADO&transferSyntax=1.2.840.10008.1.2.1&annotation=patient',
    )
  },
  run(input) {
    const query = new URLSearchParams(input.toString('latin1'))
    outcome(errors, () => {
      for (const thumbnail of [true, false]) {
        const { viewport, window, quality } = parseRenderedParams(query, { thumbnail })
        between('quality', quality, 1, 100)
        between('width', viewport?.width, 1, MAX_SIDE)
        between('height', viewport?.height, 1, MAX_SIDE)
        between('left', viewport?.left, 0, 1e6)
        between('top', viewport?.top, 0, 1e6)
        between('region width', viewport?.regionWidth, Number.MIN_VALUE, 1e6)
        between('region height', viewport?.regionHeight, Number.MIN_VALUE, 1e6)
        checkWindow(window)
      }
      return ''
    })
    const { rows, columns, region, window, quality, frameNumber } = parseUriParams(query)
    between('rows', rows, 1, MAX_SIDE)
    between('columns', columns, 1, MAX_SIDE)
    between('quality', quality, 1, 100)
    between('frame', frameNumber, 1, 999_999_999)
    between('region', region?.left, 0, region?.right ?? 1)
    checkWindow(window)
  },
}

function checkWindow(window: WindowParam | undefined): void {
  between('center', window?.center, -Number.MAX_VALUE, Number.MAX_VALUE)
  between('window width', window?.width, 0, Number.MAX_VALUE)
}

function between(what: string, value: number | undefined, least: number, most: number): void {
  if (value !== undefined && !(value >= least && value <= most))
    throw new BrokenPropertyError(`${what} is out of range: ${value}`)
}
