import { notPermitted } from '../auth/errors.ts'
import { modelAnswer, sendModel } from '../body/model-answer.ts'
import { modelBody } from '../body/model-body.ts'
import type { HttpContext } from '../context.ts'
import { pathOwnUid } from '../path.ts'
import { formatStatus } from '../../dimse/status.ts'
import { Dataset } from '../../dicom/dataset.ts'

/** Creates or, with `update`, changes a performed procedure step (PS3.18 15.4, 15.5). */
export async function writePerformedStep(c: HttpContext): Promise<Response> {
  const uid = stepOf(c)
  const { archive, signal, base } = c.var
  const step = await modelBody(c, { charset: archive.config.charset.query })
  const isUpdate = c.req.query('update') !== undefined
  const status = await (isUpdate
    ? archive.performedSteps.update(uid, step, { signal })
    : archive.performedSteps.create(uid, step, { signal }))
  const text = `The step is taken, with the warning ${formatStatus(status)}`
  const headers = {
    ...(status !== 0 && { Warning: `299 ${base}: ${text}` }),
    ...(!isUpdate && { Location: `${base}/modality-performed-procedure-steps/${uid}` }),
  }
  return c.body(null, isUpdate ? 200 : 201, headers)
}

/** A performed procedure step as its system has it (PS3.18 15.6). */
export async function retrievePerformedStep(c: HttpContext): Promise<Response> {
  const as = modelAnswer(c)
  const uid = stepOf(c)
  const { archive, signal } = c.var
  const step = await archive.performedSteps.retrieve(uid, { signal })
  return sendModel(c, step ?? new Dataset(), as, { 'Cache-Control': 'no-store' })
}

function stepOf(c: HttpContext): string {
  if (c.var.principal.binding) throw notPermitted('report performed steps, which are not of one patient or study')
  return pathOwnUid(c, 'step')
}
