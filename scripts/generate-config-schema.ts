/** Makes docs/config.schema.json, for editors, from the schema in src/config/schema.ts: node scripts/generate-config-schema.ts */
import { writeFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { format, resolveConfig } from 'prettier'
import { configJsonSchema } from '../src/config/schema.ts'

const target = fileURLToPath(new URL('../docs/config.schema.json', import.meta.url))
const options = await resolveConfig(target)
await writeFile(target, await format(JSON.stringify(configJsonSchema()), { ...options, filepath: target }))
