/** The demo's UDP service behind the tunnel's server. On SIGTERM it hashes the file it has written, and answers. */
import { PieceWriter, sha256 } from './file.js'
import { FileReceiver } from './file-receiver.js'
import { ports, type ReceiverJob, type ReceiverResult } from './jobs.js'
import { answer, runPart } from './part.js'
import { UdpPort } from './udp-port.js'

await runPart((job: ReceiverJob) => {
  const port = new UdpPort()
  port.bind(ports.receiver)
  const file = new PieceWriter(job.file)
  const receiver = new FileReceiver(port, file, job.reportEvery)
  process.once('SIGTERM', async () => {
    port.close()
    file.close()
    const result: ReceiverResult = { bytes: receiver.bytes, sha256: await sha256(job.file), foreign: receiver.foreign }
    answer(result)
  })
  console.error('ready')
})
