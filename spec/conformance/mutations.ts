import type { Mutation } from './mutate.ts'

/** Rules whose loss would open a hole, each with the text that holds it in the code. */
export const mutations: readonly Mutation[] = []
