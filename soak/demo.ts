import { DemoArchive } from '../src/demo/demo-archive.ts'

// The demo archive as a program of its own, so that it can be frozen: PORT FOLDER. TMPDIR says where it stores.

const [port, folder] = process.argv.slice(2)
const archive = await DemoArchive.start({ port: Number(port), relational: true })
await archive.load(folder!)
process.on('SIGTERM', () => void archive[Symbol.asyncDispose]().then(() => process.exit()))
