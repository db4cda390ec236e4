import { endpoint, fromBytes } from '../engine/address.js'
import { Message, native, Ready, UdpFlag } from '../native.js'
import type { Route } from '../udp/route.js'
import { UdpSender } from '../udp/send.js'
import { bindUdp } from '../udp/socket.js'
import { End } from '../workers/messages.js'
import type { Service, ServiceContext, ServiceFactory, ServiceFlow } from '../workers/service.js'
import { type Intake, UdpIntake } from './intake.js'
import { type ClientData, idleCheckMs } from './options.js'
import { ServerAddresses } from './server-addresses.js'
import { sendSingle } from './single.js'

/** What is kept of a new client's datagrams while its connection opens. */
const maxHeld = 256
const maxHeldBytes = 256 * 1024

/** One UDP source and its connection. */
interface Peer extends Route {
  readonly token: number
  readonly key: string
  held: Uint8Array[]
  heldBytes: number
  intake: Intake | undefined
  lastActive: number
}

/** The tunnel's client in one queue worker: UDP in, one fake-TCP connection per UDP source, and back. */
const clientService: ServiceFactory = (context: ServiceContext): Service => {
  const { local, localPort, remote, handshakePacket, idleMs, udp } = context.data as ClientData
  const socket = bindUdp(local, localPort, UdpFlag.reusePort | UdpFlag.packetInfo | (udp.gro ? UdpFlag.gro : 0))
  const intake = new UdpIntake(context)
  const outlet = new UdpSender({ ...udp, lost: datagrams => context.count('udpSendFailed', datagrams) })
  const server = new ServerAddresses(remote, context)
  const byKey = new Map<string, Peer>()
  const byToken = new Map<number, Peer>()
  const { records } = intake
  let nextToken = 1
  let lastPeer: Peer | undefined

  const sourceOf = (peer: Peer): string => {
    const length = socket.family === 4 ? 4 : 16
    return endpoint(fromBytes(new Uint8Array(peer.address.buffer.slice(0, length))).text, peer.port)
  }

  const forget = (peer: Peer): void => {
    byKey.delete(peer.key)
    byToken.delete(peer.token)
    if (lastPeer === peer) lastPeer = undefined
  }

  const isFrom = (peer: Peer, record: number): boolean =>
    records[record + Message.port] === peer.port &&
    records[record + Message.address] === peer.address[0] &&
    records[record + Message.address + 3] === peer.address[3] &&
    records[record + Message.address + 2] === peer.address[2] &&
    records[record + Message.address + 1] === peer.address[1] &&
    records[record + Message.scope] === peer.scope

  const peerOf = (record: number): Peer => {
    if (lastPeer !== undefined && isFrom(lastPeer, record)) return lastPeer
    const word = (field: number) => records[record + field]
    const { port, address, local, scope } = Message
    const key = `${word(port)},${word(address)},${word(address + 1)},${word(address + 2)},${word(address + 3)},${word(scope)}`
    let peer = byKey.get(key)
    if (peer === undefined) {
      peer = {
        token: nextToken++,
        key,
        socket,
        port: word(port),
        address: records.slice(record + address, record + address + 4),
        // Answers leave from the address the peer used: it would not recognise another one.
        local: records.slice(record + local, record + local + 4),
        scope: word(scope),
        singleFrom: Number.POSITIVE_INFINITY,
        reported: () => {},
        refused: () => false,
        held: [],
        heldBytes: 0,
        intake: undefined,
        lastActive: context.now(),
      }
      byKey.set(key, peer)
      byToken.set(peer.token, peer)
      context.log('info', 'new UDP client', { source: sourceOf(peer) })
      context.connect(peer.token, server.all, remote.port)
    }
    lastPeer = peer
    return peer
  }

  /** Until its connection is open a client's datagrams wait here, in order and bounded. */
  const hold = (peer: Peer, record: number): void => {
    const size = intake.segmentSize(record)
    if (!intake.fits(record, Number.POSITIVE_INFINITY)) return
    const end = records[record + Message.at] + records[record + Message.length]
    for (let at = records[record + Message.at]; at < end; at += size) {
      const length = Math.min(size, end - at)
      if (peer.held.length === maxHeld || peer.heldBytes + length > maxHeldBytes) {
        context.count('heldFull')
        continue
      }
      peer.held.push(intake.bytes.slice(at, at + length))
      peer.heldBytes += length
    }
  }

  context.poll(socket.fd, Ready.read, () =>
    intake.take(socket.fd, record => {
      const peer = peerOf(record)
      peer.lastActive = context.now()
      if (peer.intake === undefined) hold(peer, record)
      return peer.intake
    }),
  )

  context.every(idleCheckMs, () => {
    for (const peer of byKey.values()) {
      if (peer.intake === undefined || context.now() - peer.lastActive < idleMs) continue
      context.log('info', 'idle connection closed', { source: sourceOf(peer) })
      peer.intake.flow.close(End.timeout)
    }
  })

  return {
    opened(flow: ServiceFlow) {
      const peer = byToken.get(flow.token)
      if (peer === undefined) {
        flow.close()
        return
      }
      flow.state = peer
      peer.intake = { flow, first: -1, last: -1 }
      if (handshakePacket !== undefined) sendSingle(context, flow, handshakePacket)
      for (const datagram of peer.held) sendSingle(context, flow, datagram)
      peer.held = []
      peer.heldBytes = 0
    },

    received(flow, batch) {
      const peer = flow.state as Peer | undefined
      if (peer === undefined) return
      peer.lastActive = context.now()
      outlet.add(peer, batch)
    },

    settle: () => outlet.flush(),

    closed(flow, end) {
      if (end === End.reset || end === End.timeout) server.refresh()
      const peer = flow.state as Peer | undefined
      if (peer === undefined) return
      forget(peer)
      context.log('info', 'connection closed', { source: sourceOf(peer) })
    },

    connectFailed(token, { message, code }) {
      server.refresh()
      const peer = byToken.get(token)
      if (peer === undefined) return
      forget(peer)
      context.count('serviceDropped', peer.held.length)
      context.log('warn', message, { source: sourceOf(peer), code, dropped: peer.held.length })
    },

    stop: () => {
      native.close(socket.fd)
    },
  }
}

export default clientService
