import { randomInt } from 'node:crypto'
import { Message } from '../native.js'
import { UdpSender } from '../udp/send.js'
import type { ServiceFactory } from '../workers/service.js'
import type { TunnelCounter } from './counters.js'
import { Entrance } from './entrance.js'
import { FarEnd } from './far-end.js'
import { FlowSet } from './flow-set.js'
import { HeldRoom } from './held.js'
import { type Intake, UdpIntake } from './intake.js'
import { Peer, type Peers, sourceKey } from './peer.js'
import { type ClientData, sweepMs } from './service-data.js'

/**
 * The tunnel's client in one queue worker. It takes UDP datagrams, opens one fake-TCP connection per UDP source, and
 * sends each source what comes back on its connection.
 */
const clientService: ServiceFactory<Peer, ClientData, TunnelCounter> = context => {
  const { data } = context
  const { udp } = data
  const sender = new UdpSender({ ...udp, lost: datagrams => context.count('udpSendFailed', datagrams) })
  const intake = new UdpIntake(context)
  const { records } = intake
  const flows = new FlowSet<Peer>(context, data)
  const byKey = new Map<string, Peer>()
  const byToken = new Map<number, Peer>()
  // At random: a worker that replaces a dead one gets the dead one's connections, whose tokens must not match new
  // peers.
  let nextToken = randomInt(2 ** 30)
  let lastPeer: Peer | undefined

  const forget = (peer: Peer): void => {
    flows.delete(peer)
    byKey.delete(peer.key)
    byToken.delete(peer.token)
    if (lastPeer === peer) lastPeer = undefined
  }

  /** The peer of a message's source; undefined when the source is new and there is no room for one more. */
  const peerOf = (record: number): Peer | undefined => {
    if (lastPeer?.sent(records, record) === true) return lastPeer
    let peer = byKey.get(sourceKey(records, record))
    if (peer === undefined) {
      if (!flows.admits()) return undefined
      peer = new Peer(peers, nextToken++, record)
      flows.add(peer)
      byKey.set(peer.key, peer)
      byToken.set(peer.token, peer)
      context.log('info', 'source-new', 'new UDP client', { source: peer.source })
    }
    lastPeer = peer
    return peer
  }

  const taker = {
    intakeOf(record: number): Intake | undefined {
      // The kernel gives every worker's socket a copy of a broadcast datagram: only the first worker carries it.
      if (records[record + Message.copies] !== 0 && context.queue !== 0) return undefined
      return peerOf(record)?.take(record)
    },
    failed: () => {},
  }

  const peers: Peers = {
    context,
    intake,
    entrance: new Entrance(context, { ...data, gro: udp.gro }, fd => intake.take(fd, taker)),
    farEnd: new FarEnd(context, data.remote, () => {
      for (const peer of flows) peer.connect()
    }),
    heldRoom: new HeldRoom(),
    options: data,
    handshakePacket: data.handshakePacket,
    forget,
  }

  context.every(sweepMs, () => {
    flows.sweep()
    peers.entrance.check()
  })

  return {
    opened(flow) {
      const peer = byToken.get(flow.token)
      if (peer === undefined) {
        flow.close()
        return
      }
      flow.state = peer
      peer.opened(flow)
    },

    received(flow, batch) {
      const peer = flow.state
      if (peer === undefined) return
      peer.activity.in(context.now(), batch.length > batch.segmentSize)
      if (peers.entrance.socket !== undefined) sender.add(peer, batch)
      else context.count('udpSendFailed', batch.count)
    },

    settle: () => sender.flush(),

    closed(flow, reason) {
      flow.state?.closed(reason)
    },

    connectFailed(token, error) {
      byToken.get(token)?.connectFailed(error)
    },

    stop() {
      peers.entrance.close()
      peers.farEnd.close()
    },
  }
}

export default clientService
