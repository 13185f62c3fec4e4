import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { requireProgram } from './peers.ts'
import { freePort } from './ports.ts'
import { startProcess } from './process.ts'

const run = promisify(execFile)

/** Makes files of a worklist of texts, in ISO_IR 100, by dump2dcm. */
export async function writeWorklist(folder: string, steps: readonly string[]): Promise<void> {
  const dump2dcm = requireProgram('dump2dcm')
  for (const [index, step] of steps.entries()) {
    const dump = join(folder, `${index}.dump`)
    await writeFile(dump, Buffer.from(step, 'latin1'))
    await run(dump2dcm, [dump, join(folder, `${index}.wl`)])
    await rm(dump)
  }
}

/** DCMTK's worklist over files that dump2dcm makes of texts, in ISO_IR 100. It has one AE title, and lets everybody in. */
export async function startWlmscpfs(
  steps: readonly string[],
): Promise<AsyncDisposable & { readonly aeTitle: string; readonly host: string; readonly port: number }> {
  const executable = requireProgram('wlmscpfs')
  const root = await mkdtemp(join(tmpdir(), 'dimsegate-wlmscpfs-'))
  const aeTitle = 'RIS'
  try {
    const folder = join(root, aeTitle)
    await mkdir(folder)
    await writeFile(join(folder, 'lockfile'), '')
    await writeWorklist(folder, steps)
    const port = await freePort()
    const process = await startProcess(executable, { args: ['-dfp', root, String(port)], ports: [port] })
    return {
      aeTitle,
      host: '127.0.0.1',
      port,
      [Symbol.asyncDispose]: async () => {
        await process[Symbol.asyncDispose]()
        await rm(root, { recursive: true, force: true })
      },
    }
  } catch (error) {
    await rm(root, { recursive: true, force: true })
    throw error
  }
}
