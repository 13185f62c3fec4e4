/** Inputs that each target is given by `npm test`: all of it takes well under a minute. */
export const CI_RUNS = 2_000
