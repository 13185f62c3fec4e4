import { z } from 'zod'
import { aeTitle, bool, byteSize, duration, integer } from './values.ts'

const worklist = z.strictObject({
  every: duration('5m').describe('How often the worklists of the archives are looked at'),
  ahead: duration('4h').describe('How long before a step is due its priors are fetched'),
})

/** Priors that are fetched before anybody asks for them. */
export const prefetch = z
  .strictObject({
    viewer: bool.default(true).describe('Whether priors are fetched when somebody opens a study'),
    worklist: worklist.nullable().default(null).describe('Whether those of scheduled patients are; null: they are not'),
    maxStudies: integer(1, 50).default(3).describe('Most priors of one study'),
    maxBytes: byteSize('256MiB', 1).describe('Most bytes that are fetched for one study'),
    minScore: integer(0, 100).default(40).describe('What a prior has to be worth, of 100'),
    maxAssociations: integer(1, 16).default(1).describe('Most priors that are fetched of an archive at once'),
    again: duration('12h').describe('How long a study is not fetched once more'),
    destination: aeTitle
      .nullable()
      .default(null)
      .describe(
        'AE title of a workstation that archives send priors to, by C-MOVE, in place of here; null: they come here',
      ),
  })
  .nullable()
  .default(null)
  .describe('Priors that are fetched before anybody asks; null: none are')
