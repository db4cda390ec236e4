import { UdpSender } from '../udp/send.js'
import { UdpError } from '../udp/socket.js'
import type { ServiceFactory } from '../workers/service.js'
import type { TunnelCounter } from './counters.js'
import { flowName } from './flow-name.js'
import { FlowSet } from './flow-set.js'
import { UdpIntake } from './intake.js'
import { Leg, type Legs } from './leg.js'
import { OwnAddresses } from './leg-socket.js'
import { type ServerData, sweepMs } from './service-data.js'
import { sendSingle } from './single.js'
import { SourcePorts } from './source-ports.js'
import { Target } from './target.js'

/**
 * The tunnel's server in one queue worker. It opens a UDP socket for each accepted connection, sends the service what
 * comes on the connection, and sends the service's answers back on it.
 */
const serverService: ServiceFactory<Leg, ServerData, TunnelCounter> = context => {
  const { data } = context
  const { handshakePacket, udp } = data
  const sender = new UdpSender({ ...udp, lost: datagrams => context.count('udpSendFailed', datagrams) })
  const flows = new FlowSet<Leg>(context, data)
  const legs: Legs = {
    context,
    intake: new UdpIntake(context),
    ports: new SourcePorts(data.ports, context.queue, context.queues),
    gro: udp.gro,
    target: new Target(context, data.remote, () => {
      for (const leg of flows) leg.named()
    }),
    ownAddresses: new OwnAddresses(() => context.now()),
    options: data,
  }

  /** Opens the leg's socket. When none is to be had evicts idle flows and tries once more. Whether it is open. */
  const open = (leg: Leg, mayEvict: boolean): boolean => {
    try {
      leg.open()
      return true
    } catch (error) {
      if (!(error instanceof UdpError)) throw error
      if (mayEvict && flows.makeRoom()) return open(leg, false)
      context.count('serviceDropped')
      context.log('error', 'leg-failed', error.message, { remote: flowName(leg.flow) })
      return false
    }
  }

  context.every(sweepMs, () => {
    flows.sweep()
  })

  return {
    opened(flow) {
      const leg = new Leg(legs, flow)
      if (!flows.admits() || !open(leg, true)) {
        flow.close()
        return
      }
      flow.state = leg
      flows.add(leg)
      context.log('info', 'connection-accepted', 'connection accepted', { remote: flowName(flow) })
      if (handshakePacket !== undefined) sendSingle(context, leg, handshakePacket)
    },

    received(flow, batch) {
      const leg = flow.state
      if (leg === undefined) return
      leg.activity.out(context.now(), batch.length > batch.segmentSize)
      if (leg.ready()) sender.add(leg, batch)
      else context.count(legs.target.current === undefined ? 'udpUnresolved' : 'udpSendFailed', batch.count)
    },

    // The sender has gathered references to datagrams, and the worker reuses their memory after this turn.
    settle: () => sender.flush(),

    closed(flow) {
      const leg = flow.state
      if (leg === undefined) return
      sender.flush()
      flows.delete(leg)
      leg.close()
      context.log('info', 'connection-closed', 'connection closed', { remote: flowName(flow) })
    },

    stop() {
      legs.target.close()
      for (const leg of flows) leg.close()
    },
  }
}

export default serverService
