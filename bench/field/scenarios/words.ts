import type { Scenario } from '../../checks/scenario.js'

export const words: readonly Scenario[] = []
