/** Each byte is looked at only where the one before it is right. */
export function behindThreeBytes(input: Buffer): void {
  if (input[0] !== 0x46) return
  if (input[1] !== 0x55) return
  if (input[2] !== 0x5a) return
  throw new TypeError('Planted')
}
