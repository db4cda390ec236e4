#!/usr/bin/env node
import { outliveTerminals, takeSignals } from './signals.js'

outliveTerminals()
// Before anything else is loaded: who starts a tunnel may want it to end again within its first half second.
if (['client', 'server'].includes(process.argv[2])) takeSignals()
const { run } = await import('./program.js')
await run()
