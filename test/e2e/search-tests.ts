import type { Use } from './archive-under-test.ts'
export function searchTests(_use: Use): void {
}
