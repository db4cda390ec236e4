import { createNetwork, type Network, type Shape } from '../src/lab/network.js'

/** Keeps one network at a time, and makes a new one when the shape changes. */
export class CurrentNetwork {
  #network: Network | undefined

  async of(shape: Shape): Promise<Network> {
    if (this.#network?.shape !== shape) {
      await this.close()
      this.#network = await createNetwork(shape)
    }
    return this.#network
  }

  async close(): Promise<void> {
    const network = this.#network
    this.#network = undefined
    await network?.close()
  }
}
