import { subscribe } from 'node:diagnostics_channel'
import { it } from 'vitest'
import { startSetup } from '../support/gateway.ts'
import { seriesFiles } from '../support/dicom-files.ts'
it('x', async () => {
  subscribe('dimsegate:request', (e: any) => console.log('EVENT', e.status, e.cut, e.error?.stack))
  await using s = await startSetup({ files: seriesFiles(2) })
  for (let i = 0; i < 3; i++) {
  const r = await fetch(s.url + '/studies/1.2.3')
  console.log(r.status, (await r.text().catch(String)).length)
  }
})
