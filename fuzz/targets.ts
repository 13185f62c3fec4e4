import type { Target } from './target.ts'
import { charset } from './targets/charset.ts'
import { clientModel } from './targets/client-model.ts'
import { codestream } from './targets/codestream.ts'
import { command } from './targets/command.ts'
import { config } from './targets/config.ts'
import { dataSet } from './targets/data-set.ts'
import { draw } from './targets/draw.ts'
import { instance } from './targets/instance.ts'
import { media } from './targets/media.ts'
import { model } from './targets/model.ts'
import { multipart } from './targets/multipart.ts'
import { part10 } from './targets/part10.ts'
import { pdu } from './targets/pdu.ts'
import { pictureParams } from './targets/picture-params.ts'
import { recoding } from './targets/recode.ts'
import { rle } from './targets/rle.ts'
import { search } from './targets/search.ts'
import { sentMedia } from './targets/sent-media.ts'
import { wildcard } from './targets/wildcard.ts'

/** All that takes bytes or text from outside. */
export const targets: readonly Target[] = [
  ...[pdu, command, dataSet, model, clientModel, part10, recoding, instance, charset],
  ...[multipart, media, search, pictureParams, wildcard, config, codestream, sentMedia, rle, draw],
]
