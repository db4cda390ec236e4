import type { Scenario } from '../../checks/scenario.js'

export const flows: readonly Scenario[] = []
