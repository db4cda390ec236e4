/**
 * UDP sink: `udp-sink --listen IP:PORT [--seconds 7]`
 *
 * It takes datagrams (UDP_GRO: up to 64 KiB of them per read) and counts them. It writes `ready` to stderr once it is
 * bound. It prints a JSON line (`Received` and cpuSeconds, from the start on) at each SIGUSR2 and at its end, which is
 * after `--seconds` or on SIGTERM.
 */
import { parseArgs } from 'node:util'
import { errnoName, Message, native, Ready, UdpFlag } from '../../src/native.js'
import { cpuSeconds, endpoint, MAX_SECONDS, number } from './options.js'
import { Tally } from './tally.js'

/** Room per message: the longest GRO super-packet. */
const STRIDE = 65_536
const MESSAGES = 32
/** Calls per wake, before the timers get their turn. */
const BUDGET = 64
/** Holds a burst of tens of milliseconds, so that the sink is never the limit of what is measured. */
const RECEIVE_BUFFER = 64 << 20

const check = (result: number, what: string): number => {
  if (result < 0) throw new Error(`${what}: ${errnoName(result)}`)
  return result
}

const main = (): void => {
  const { values } = parseArgs({
    options: { listen: { type: 'string' }, seconds: { type: 'string', default: '7' } },
  })
  const listen = endpoint(values.listen, '--listen')
  const seconds = number(values.seconds, '--seconds', 0.01, MAX_SECONDS)

  const bytes = new Uint8Array(STRIDE * MESSAGES)
  const view = new DataView(bytes.buffer)
  const arena = native.arenaOpen(bytes)
  const records = new Int32Array(MESSAGES * Message.words)
  const recordsArena = native.arenaOpen(new Uint8Array(records.buffer))
  const eventsArena = native.arenaOpen(new Uint8Array(64))

  const fd = check(native.udpOpen(listen.family, UdpFlag.gro), 'udpOpen')
  check(native.socketBuffers(fd, RECEIVE_BUFFER, 0), 'socketBuffers')
  check(native.udpBind(fd, listen.address, listen.port, 0), 'udpBind')

  const tally = new Tally()
  const drain = (): void => {
    for (let call = 0; call < BUDGET; call++) {
      const count = native.udpReceive(fd, arena, 0, STRIDE, MESSAGES, recordsArena, 0)
      for (let i = 0; i < count; i++) {
        const record = i * Message.words
        const length = records[record + Message.length]
        tally.batch(bytes, view, records[record + Message.at], length, records[record + Message.segmentSize] || length)
      }
      if (count < MESSAGES) break
    }
  }
  const poller = new native.Poller(eventsArena, 4, drain)
  check(poller.add(fd, 0, Ready.read), 'poller')
  console.error('ready')

  const print = (): void => {
    drain()
    console.log(JSON.stringify({ ...tally.result(), cpuSeconds: cpuSeconds() }))
  }
  const finish = (): void => {
    print()
    poller.close()
    native.close(fd)
    process.exit(0)
  }
  process.on('SIGUSR2', print)
  setTimeout(finish, seconds * 1000)
  process.once('SIGTERM', finish)
}

main()
