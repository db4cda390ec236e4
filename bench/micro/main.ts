/** `npm run bench:micro`: nanoseconds per operation of the hot path's parts. It needs neither root nor a network. */
import { run } from 'mitata'
import './wire.js'
import './lane.js'
import './tuples.js'

await run({ colors: process.stdout.isTTY === true })
