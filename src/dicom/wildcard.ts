/**
 * Whether a text fits a pattern (PS3.4 C.2.2.2.4): `*` any run, also none, `?` any one character; case matters.
 * Takes (characters of the pattern + 1) x (those of the text + 1) steps at most; without `*` those of the shorter one.
 * Only the last `*` is ever tried again: what one before it takes more can be left to the last.
 */
export function matchesWildcard(pattern: string, text: string): boolean {
  let at = 0
  let next = 0
  let star = -1
  let resume = 0
  while (next < text.length) {
    const one = pattern[at]
    if (one === '*') {
      star = at++
      resume = next
    } else if (one === '?' || (one !== undefined && one === text[next])) {
      at++
      next++
    } else if (star >= 0) {
      at = star + 1
      next = ++resume
    } else return false
  }
  while (pattern[at] === '*') at++
  return at === pattern.length
}
