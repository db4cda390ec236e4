import { endpoint, fromWords } from '../engine/address.js'
import { native, Ready, UdpFlag } from '../native.js'
import { type Route, unaddressed } from '../udp/route.js'
import { UdpSender } from '../udp/send.js'
import { connectUdp, type UdpSocket } from '../udp/socket.js'
import { End } from '../workers/messages.js'
import type { Service, ServiceContext, ServiceFactory, ServiceFlow } from '../workers/service.js'
import { type Intake, UdpIntake } from './intake.js'
import { idleCheckMs, type ServerData } from './options.js'
import { sendSingle } from './single.js'

/** One accepted connection and its UDP socket: the far end sees one source port per connection. */
interface Leg extends Intake, Route {
  lastActive: number
}

const remoteOf = (flow: ServiceFlow): string =>
  endpoint(fromWords(flow.tuple.family, flow.tuple.remote).text, flow.tuple.ports >>> 16)

/** The tunnel's server in one queue worker: fake TCP in, UDP out, and back. */
const serverService: ServiceFactory = (context: ServiceContext): Service => {
  const { remote, remotePort, handshakePacket, idleMs, udp } = context.data as ServerData
  const intake = new UdpIntake(context)
  const outlet = new UdpSender({ ...udp, lost: datagrams => context.count('udpSendFailed', datagrams) })
  const legs = new Set<Leg>()

  context.every(idleCheckMs, () => {
    for (const leg of legs) {
      if (context.now() - leg.lastActive < idleMs) continue
      context.log('info', 'idle connection closed', { remote: remoteOf(leg.flow) })
      leg.flow.close(End.timeout)
    }
  })

  return {
    opened(flow) {
      let socket: UdpSocket
      try {
        socket = connectUdp(remote, remotePort, udp.gro ? UdpFlag.gro : 0)
      } catch (error) {
        context.count('serviceDropped')
        context.log('error', (error as Error).message, { remote: remoteOf(flow) })
        flow.close()
        return
      }
      const leg: Leg = {
        flow,
        socket,
        port: 0,
        address: unaddressed,
        local: unaddressed,
        scope: 0,
        singleFrom: Number.POSITIVE_INFINITY,
        reported: () => {},
        refused: () => false,
        lastActive: context.now(),
        first: -1,
        last: -1,
      }
      flow.state = leg
      legs.add(leg)
      context.poll(socket.fd, Ready.read, () =>
        intake.take(socket.fd, () => {
          leg.lastActive = context.now()
          return leg
        }),
      )
      context.log('info', 'connection accepted', { remote: remoteOf(flow) })
      if (handshakePacket !== undefined) sendSingle(context, flow, handshakePacket)
    },

    received(flow, batch) {
      const leg = flow.state as Leg | undefined
      if (leg === undefined) return
      leg.lastActive = context.now()
      outlet.add(leg, batch)
    },

    // Datagrams gathered from a ring or the read buffer are only valid until the worker goes on.
    settle: () => outlet.flush(),

    closed(flow) {
      const leg = flow.state as Leg | undefined
      if (leg === undefined) return
      outlet.flush()
      legs.delete(leg)
      context.unpoll(leg.socket.fd)
      native.close(leg.socket.fd)
      context.log('info', 'connection closed', { remote: remoteOf(flow) })
    },

    stop() {
      for (const leg of legs) native.close(leg.socket.fd)
    },
  }
}

export default serverService
