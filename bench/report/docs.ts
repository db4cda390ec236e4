import type { Results } from '../results.js'
export const docs = (results: Results): string => results.date
