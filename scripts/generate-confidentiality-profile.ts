import { readFile, writeFile } from 'node:fs/promises'
import { format } from 'prettier'

// PS3.15 Table E.1-1 as scripts/confidentiality-profile.tsv has it, to src/routing/deidentify/profile-data.ts.

const SOURCE = new URL('confidentiality-profile.tsv', import.meta.url)
const TARGET = new URL('../src/routing/deidentify/profile-data.ts', import.meta.url)
/** The columns of options that a gateway can carry out; what has to be cleaned by people is none. */
const OPTIONS = ['rtnUIDs', 'rtnDevId', 'rtnInstId', 'rtnPatChars', 'rtnLongFullDates', 'rtnLongModifDates']

/** The text of profile-data.ts. */
export async function profileData(): Promise<string> {
  const [head, ...lines] = (await readFile(SOURCE, 'utf8')).trimEnd().split('\n')
  const columns = head!.split('\t')
  const rows = lines.map((line) => {
    const cells = line.split('\t')
    const cell = (name: string): string => cells[columns.indexOf(name)] ?? ''
    const options = OPTIONS.map((name) => cell(name) || '-').join('')
    return `${cell('tag')} ${cell('basic')} ${options}`
  })
  const own = rows.filter((row) => !row.startsWith('GGGG') && !row.startsWith('0000') && !row.startsWith('0002'))
  const source = `// Made by scripts/generate-confidentiality-profile.ts.

/**
 * PS3.15 2026d Table E.1-1, a line for each attribute: tag (X: any digit), action of the Basic Profile, and K or C for the
 * options to retain UIDs, device identity, institution identity, patient characteristics, full dates, modified dates.
 */
export const profileData = \`
${own.join('\n')}
\`
`
  return format(source, { parser: 'typescript', semi: false, singleQuote: true, printWidth: 120 })
}

if (import.meta.main) await writeFile(TARGET, await profileData())
