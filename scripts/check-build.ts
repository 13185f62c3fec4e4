import { globSync, readFileSync } from 'node:fs'

// Whether what was built imports what was built: the compiler leaves some names of sources as they are, in silence.

const SOURCE = /(?:from|import)\s*\(?\s*['"]\.[^'"]*\.ts['"]/g

const files = globSync('dist/**/*.js')
const wrong = files.flatMap((file) =>
  [...readFileSync(file, 'utf8').matchAll(SOURCE)].map(([name]) => `${file}: ${name}`),
)
if (files.length === 0) wrong.push('dist has no modules: npm run build first')
for (const one of wrong) process.stderr.write(`${one}\n`)
if (wrong.length > 0) process.exit(1)
process.stdout.write(`${files.length} built modules import built modules.\n`)
