/** The demo's application at the tunnel's client: sends a file, then measures round trips through the idle tunnel. */
import { statSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { PieceReader } from './file.js'
import { FileSender } from './file-sender.js'
import { ports, type SenderJob, type SenderProgress, type SenderResult } from './jobs.js'
import { Layout } from './layout.js'
import { answer, runPart } from './part.js'
import { measureRoundTrips } from './pings.js'
import { UdpPort } from './udp-port.js'

const progressMs = 100
/** Milliseconds between the transfer and the round trips, in which the queues run empty. */
const restMs = 200

await runPart(async (job: SenderJob) => {
  const layout = new Layout(statSync(job.file).size)
  const file = new PieceReader(job.file)
  const port = new UdpPort()
  port.connect(ports.client)
  const sender = new FileSender(port, file, layout, job.window)
  await sender.hello()
  const start = performance.now()
  const elapsed = (): number => (performance.now() - start) / 1000
  const progress = (): void => {
    const line: SenderProgress = { bytes: sender.bytesThrough, seconds: elapsed() }
    console.log(JSON.stringify(line))
  }
  const timer = setInterval(progress, progressMs)
  await sender.stream()
  const lost = await sender.repair()
  const seconds = elapsed()
  clearInterval(timer)
  progress()
  await sleep(restMs)
  const roundTrips = await measureRoundTrips(port, job.pings)
  port.close()
  file.close()
  const { resent, control } = sender
  const result: SenderResult = {
    bytes: layout.fileBytes,
    datagrams: layout.count,
    seconds,
    lost,
    resent,
    control,
    ...roundTrips,
  }
  answer(result)
})
