/**
 * Text without the spaces and NULs behind it, and with `start` in front of it too (PS3.5 6.2). A loop and no pattern: a
 * peer that sends a run of blanks must not make it quadratic.
 */
export function withoutPadding(text: string, start = false): string {
  let from = 0
  let to = text.length
  while (to > from && isPad(text.charCodeAt(to - 1))) to--
  if (start) while (from < to && isPad(text.charCodeAt(from))) from++
  return from === 0 && to === text.length ? text : text.slice(from, to)
}

function isPad(code: number): boolean {
  return code === 0x20 || code === 0
}
