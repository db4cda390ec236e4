import { invalid } from '../errors.js'
import { errnoName, native, TunFlag } from '../native.js'
import type { TunQueues } from './tun-queues.js'

/**
 * Takes over the queues of an interface that another program has made. Appends to `queues` as it goes, so that the
 * caller can close them after an error. Throws INVALID_ARGUMENT.
 */
export const adoptQueues = (descriptors: readonly number[], queues: number[]): TunQueues => {
  const kinds = new Set<string>()
  for (const fd of descriptors) {
    const flags = native.tunAdopt(fd)
    if (flags < 0) {
      throw invalid(`Descriptor ${fd} of \`tun.descriptors\` is not an attached TUN queue (${errnoName(flags)}).`)
    }
    queues.push(fd)
    if ((flags & TunFlag.tun) === 0 || (flags & TunFlag.noInformation) === 0) {
      throw invalid(`Descriptor ${fd} of \`tun.descriptors\` must have been attached with IFF_TUN and IFF_NO_PI.`)
    }
    kinds.add(`${native.tunName(fd)} ${flags & TunFlag.vnetHeader}`)
  }
  const [kind] = kinds
  if (kinds.size > 1) throw invalid('All of `tun.descriptors` must be queues of one interface, with the same flags.')
  const [name, headers] = kind.split(' ')
  return { name, queues: [...queues], headers: headers !== '0', refused: new Map() }
}
