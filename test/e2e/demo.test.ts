import { DemoArchive } from '../../src/demo/demo-archive.ts'
import { archiveSuite } from './suite.ts'

archiveSuite('The demo archive', async (files) => {
  const archive = await DemoArchive.start({ relational: true })
  const refused: string[] = []
  for (const file of files) if ((await archive.load(file)) === 0) refused.push(file)
  return {
    address: { aeTitle: archive.aeTitle, host: '127.0.0.1', port: archive.port },
    refused,
    capabilities: {
      relational: true,
      sequences: 'matched',
      rangesMatchEmpty: false,
      hardNames: {},
      countsInstances: true,
      verbatim: true,
      explicitFirst: true,
      takes: () => true,
      // It is made to hold sample files, not to decompress them.
      decodes: () => false,
    },
    openAssociations: () => archive.associations,
    [Symbol.asyncDispose]: () => archive[Symbol.asyncDispose](),
  }
})
