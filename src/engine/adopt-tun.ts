import { invalid } from '../errors.js'
import { errnoName, native, TunFlag } from '../native.js'
import { type Address, parseAddress } from '../net/address.js'
import { type TunOptions, whole } from './options.js'
import type { TunQueues } from './tun-queues.js'

/** Our addresses on an interface that somebody else has made. Throws INVALID_ARGUMENT. */
export const adoptedAddresses = (options: TunOptions): { stackAddress?: Address; stackAddress6?: Address } => {
  const { stackAddress, stackAddress6 } = options
  if (stackAddress === undefined && stackAddress6 === undefined) {
    throw invalid('An adopted TUN device needs tun.stackAddress or tun.stackAddress6.')
  }
  return {
    ...(stackAddress !== undefined && { stackAddress: parseAddress(stackAddress, 'tun.stackAddress', 4) }),
    ...(stackAddress6 !== undefined && { stackAddress6: parseAddress(stackAddress6, 'tun.stackAddress6', 6) }),
  }
}

/** Takes over queues of one interface. Fills `queues` as it goes, so that the caller can close them whatever happens. Throws INVALID_ARGUMENT. */
export const adoptQueues = (descriptors: readonly number[], queues: number[]): TunQueues => {
  whole(descriptors.length, 'the number of tun.descriptors', 1, 256)
  const kinds = new Set<string>()
  for (const fd of descriptors) {
    const flags = native.tunAdopt(whole(fd, 'tun.descriptors', 0, 2 ** 31 - 1))
    if (flags < 0) {
      throw invalid(`Descriptor ${fd} of tun.descriptors is not an attached TUN queue (${errnoName(flags)}).`)
    }
    queues.push(fd)
    if ((flags & TunFlag.tun) === 0 || (flags & TunFlag.noInformation) === 0) {
      throw invalid(`Descriptor ${fd} of tun.descriptors must have been attached with IFF_TUN and IFF_NO_PI.`)
    }
    kinds.add(`${native.tunName(fd)} ${flags & TunFlag.vnetHeader}`)
  }
  const [kind] = kinds
  if (kinds.size > 1) throw invalid('All of tun.descriptors must be queues of one interface, with the same flags.')
  const [name, headers] = kind.split(' ')
  return { name, queues: [...queues], headers: headers !== '0', refused: new Map() }
}
