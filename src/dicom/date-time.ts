/** A moment as DA and TM have it (PS3.5 6.2), by the clock of this machine, to the second. */
export function dateAndTime(at: Date): { readonly date: string; readonly time: string } {
  const digits = (value: number, length = 2): string => String(value).padStart(length, '0')
  return {
    date: `${digits(at.getFullYear(), 4)}${digits(at.getMonth() + 1)}${digits(at.getDate())}`,
    time: `${digits(at.getHours())}${digits(at.getMinutes())}${digits(at.getSeconds())}`,
  }
}

/** A moment as DT has it, with the offset of this machine's clock from UTC. */
export function dateTime(at: Date): string {
  const { date, time } = dateAndTime(at)
  const offset = -at.getTimezoneOffset()
  const [hours, minutes] = [Math.floor(Math.abs(offset) / 60), Math.abs(offset) % 60]
  const digits = (value: number): string => String(value).padStart(2, '0')
  return `${date}${time}${offset < 0 ? '-' : '+'}${digits(hours)}${digits(minutes)}`
}
