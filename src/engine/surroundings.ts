import type { Address } from '../net/address.js'
import { FirstHopMtu } from '../net/first-hop-mtu.js'
import { InterfaceWatch } from '../net/interface-watch.js'
import { Netlink } from '../net/netlink.js'
import type { StackOptions } from './options.js'
import type { TunDevice } from './tun-device.js'

/** Keeps a TUN interface as it was made, and knows the MTU of the machine's other interfaces and routes. */
export class Surroundings {
  readonly #netlink = new Netlink()
  readonly #watch: InterfaceWatch
  readonly #mtus: FirstHopMtu

  constructor(device: TunDevice, log: StackOptions['logger']) {
    this.#mtus = new FirstHopMtu(this.#netlink, device.index)
    this.#watch = new InterfaceWatch(this.#netlink, device, log, () => this.#mtus.refresh())
  }

  /** Bytes of the largest packet to `remote` that the first hop carries, at most `max`. */
  mtuTo(remote: Address, max: number): number {
    return this.#mtus.to(remote, max)
  }

  close(): void {
    this.#watch.close()
    this.#netlink.close()
  }
}
