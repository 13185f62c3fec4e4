import { isUid } from './uids.ts'
import type { Vr } from './vr.ts'

/** How long a value may be, and what it may look like (PS3.5 Table 6.2-1); in characters. */
const FORMS: Readonly<Partial<Record<Vr, { readonly most: number; readonly form?: RegExp }>>> = {
  AE: { most: 16, form: /^[ -[\]-~]+$/ },
  AS: { most: 4, form: /^\d{3}[DWMY]$/ },
  CS: { most: 16, form: /^[A-Z0-9 _]+$/ },
  DA: { most: 8, form: /^\d{4}(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])$/ },
  DS: { most: 16, form: /^[+-]?(\d+\.?\d*|\.\d+)(E[+-]?\d+)?$/i },
  DT: { most: 26, form: /^\d{4}(\d{2}){0,5}(\.\d{1,6})?([+-]\d{4})?$/ },
  IS: { most: 12, form: /^[+-]?\d+$/ },
  LO: { most: 64 },
  LT: { most: 10_240 },
  PN: { most: 3 * 64 + 2 },
  SH: { most: 16 },
  ST: { most: 1_024 },
  TM: { most: 14, form: /^([01]\d|2[0-3])([0-5]\d([0-5]\d(\.\d{1,6})?)?)?$/ },
}

/** Whether text may be one value of a VR; of VRs whose values are no text nothing is said. */
export function isOfForm(vr: Vr, text: string): boolean {
  if (vr === 'UI') return isUid(text)
  const { most = Infinity, form } = FORMS[vr] ?? {}
  return Array.from(text).length <= most && (form === undefined || form.test(text))
}
