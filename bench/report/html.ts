import type { Results } from '../results.js'
export const html = async (results: Results): Promise<string> => results.date
