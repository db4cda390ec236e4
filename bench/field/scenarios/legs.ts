import type { Scenario } from '../../checks/scenario.js'

export const legs: readonly Scenario[] = []
