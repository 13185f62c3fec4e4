import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    testTimeout: 60_000,
    hookTimeout: 60_000,
    pool: 'forks',
    // One more than the cores of the smallest machine: many tests wait for peers.
    maxWorkers: 3,
    restoreMocks: true,
    unstubEnvs: true,
  },
})
