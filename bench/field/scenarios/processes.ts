import type { Scenario } from '../../checks/scenario.js'

export const processes: readonly Scenario[] = []
