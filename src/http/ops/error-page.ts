import { readFile } from 'node:fs/promises'

/**
 * The codes of docs/errors.md as a page, each with an anchor of its name: what the `type` of a problem document leads
 * to. The path holds from the sources and from the build alike.
 */
export async function readErrorPage(): Promise<string> {
  return errorPage(await readFile(new URL('../../../docs/errors.md', import.meta.url), 'utf8'))
}

/** Rows of the document's tables that have a code, or several, a status, and what to do. */
export function errorPage(markdown: string): string {
  const entries = markdown.split('\n').flatMap((line) => {
    const [, names, status, text] =
      /^\| (`[A-Z_]+`(?:, `[A-Z_]+`)*) +\| (\d{3}[^|]*|see below) +\| (.*?) +\|$/.exec(line) ?? []
    if (names === undefined || status === undefined || text === undefined) return []
    return names
      .replaceAll('`', '')
      .split(', ')
      .map((code) => entry(code, status.trim(), text))
  })
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>Errors of Dimsegate</title>
<h1>Errors</h1>
<dl>
${entries.join('\n')}
</dl>
</html>
`
}

function entry(code: string, status: string, text: string): string {
  return `<dt id="${code}"><code>${code}</code>, ${escaped(status)}</dt><dd>${inline(text)}</dd>`
}

/** Code spans stay, links become their text: the other documents are not served. */
function inline(markdown: string): string {
  const plain = escaped(markdown.replace(/\[([^\]]*)\]\([^)]*\)/g, '$1'))
  return plain.replace(/`([^`]+)`/g, '<code>$1</code>')
}

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
}
