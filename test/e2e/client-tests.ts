import type { Use } from './archive-under-test.ts'
export function clientTests(_use: Use): void {
}
