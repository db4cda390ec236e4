/**
 * The process that runs the demo inside its private network namespace:
 *
 *     A: send → 127.0.0.1 → client ─ TUN ═ veth ═ TUN ─ server → 127.0.0.1 → receive :B
 *                                           └ capture
 *
 * It ends its children when it is done, on SIGTERM, and when the process of `demo.ts` has ended (then its stdin
 * closes).
 */
import { copyFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { type Child, killAll, stopAll } from '../lab/child.js'
import { createNetwork } from '../lab/network.js'
import { makeFile, sha256 } from './file.js'
import type { CaptureResult, DemoJob, ReceiverResult, SenderProgress, SenderResult } from './jobs.js'
import { asSentence, demoError, runPart } from './part.js'
import { datagramsPerPacket, finished, Programs, started, stopped, windowSize } from './programs.js'
import { progressLine, StatusLine } from './progress.js'
import { matches, type Outcome, summary } from './summary.js'

/** Timeout of the demo in seconds: for everything but the transfer, and for each megabyte of the transfer. */
const slackSeconds = 20
const secondsPerMB = 0.2
const pings = 1_000
/** Milliseconds between SIGTERM and SIGKILL to a child. */
const graceMs = 1_500
const progressMs = 100

/** Shows the sender's progress until it ends. */
const follow = (sender: Child, total: number, status: StatusLine): void => {
  const timer = setInterval(() => {
    // The last line may not be complete yet.
    const line = sender.stdout.split('\n').at(-2)
    if (line === undefined) return
    const { bytes, seconds } = JSON.parse(line) as SenderProgress
    if (bytes < total) status.show(progressLine(bytes, total, seconds))
    else status.show('Measuring round trips …')
  }, progressMs)
  void sender.ended.then(() => clearInterval(timer))
}

const run = async (job: DemoJob, seconds: number, status: StatusLine): Promise<Outcome> => {
  status.show('Making two network namespaces …')
  const network = await createNetwork('plain')
  const programs = new Programs(network, seconds)
  const source = job.file ?? join(job.directory, 'sent')
  const pcap = join(job.directory, 'capture')
  const window = windowSize()

  status.show('Starting server and client …')
  const receiver = programs.receiver({ file: join(job.directory, 'received'), reportEvery: Math.ceil(window / 8) })
  const capture = job.capture === undefined ? undefined : programs.capture(pcap)
  const server = programs.server()
  const client = programs.client()
  if (job.file === undefined && job.bytes > 1e9) status.show('Making the file …')
  if (job.file === undefined) await makeFile(source, job.bytes)
  await Promise.all([started(receiver), ...(capture ? [started(capture)] : []), started(server), started(client)])

  const sender = programs.sender({ file: source, window, pings })
  follow(sender, job.bytes, status)
  const sent = await finished<SenderResult>(sender, [client, server, receiver, ...(capture ? [capture] : [])])

  status.show('Comparing the files …')
  const [hash, received] = await Promise.all([
    sha256(source),
    stopped<ReceiverResult>(receiver),
    client.stop(graceMs).then(() => server.stop(graceMs)),
  ])
  // After the client has stopped: the capture then has the RST that ends the connection.
  const captured = capture && (await stopped<CaptureResult>(capture))
  if (captured && job.capture !== undefined) copyFileSync(pcap, job.capture)
  await network.close()
  return {
    sent,
    sha256: { sent: hash, received: received.sha256 },
    damaged: received.foreign,
    datagramsPerPacket: datagramsPerPacket(client, sent.control + sent.pings),
    capture: captured && job.capture !== undefined ? { ...captured, path: job.capture } : undefined,
  }
}

await runPart(async (job: DemoJob) => {
  const status = new StatusLine(process.stdout)
  // The reader of our output may be gone. The demo goes on, since it must still remove what it has made.
  process.stdout.on('error', () => {})
  process.on('exit', killAll)
  const seconds = Math.ceil(slackSeconds + (job.bytes / 1e6) * secondsPerMB)
  let orphaned = false
  const stop = new Promise<never>((_, reject) => {
    const interrupted = (): void => reject(demoError('The demo was interrupted; everything it had made is gone again.'))
    process.once('SIGTERM', interrupted)
    process.stdin.once('close', () => {
      orphaned = true
      interrupted()
    })
    process.stdin.resume()
    setTimeout(() => reject(demoError(`The demo was not done within ${seconds} s.`)), seconds * 1000)
  })
  try {
    const outcome = await Promise.race([run(job, seconds, status), stop])
    status.clear()
    console.log(summary(outcome))
    process.exitCode = matches(outcome) ? 0 : 1
  } catch (error) {
    status.clear()
    throw asSentence(error)
  } finally {
    await stopAll(graceMs)
    if (orphaned) rmSync(job.directory, { recursive: true, force: true })
  }
  process.exit()
})
