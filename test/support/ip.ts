/** What tests inside a private network namespace make with `ip`. */
import { spawnSync } from 'node:child_process'
import { parseAddress } from '../../src/net/address.js'

export const ip = (...args: string[]): void => {
  const { status, stderr } = spawnSync('ip', args, { encoding: 'utf8' })
  if (status !== 0) throw new Error(`ip ${args.join(' ')}: ${stderr}`)
}

export const addressOf = (text: string) => parseAddress(text, 'an address')

export const bytesOf = (text: string): Uint8Array => addressOf(text).bytes

/** Two interfaces on one wire, `left` and `right`, and the loopback interface; all up. */
export const layWire = (): void => {
  ip('link', 'set', 'lo', 'up')
  ip('link', 'add', 'left', 'type', 'veth', 'peer', 'name', 'right')
  for (const name of ['left', 'right']) ip('link', 'set', name, 'up')
}
