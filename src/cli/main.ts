#!/usr/bin/env node
import { outliveTerminals, takeSignals } from './signals.js'

outliveTerminals()
// Before the program is loaded, which takes a while: a signal may come within the first half second.
if (['client', 'server'].includes(process.argv[2])) takeSignals()
const { run } = await import('./program.js')
await run()
