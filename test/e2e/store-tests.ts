import type { Use } from './archive-under-test.ts'
export function storeTests(_use: Use): void {
}
