import { isIP } from 'node:net'
import ipaddr from 'ipaddr.js'

/** The maximum seconds of any load, whatever its options say. */
export const MAX_SECONDS = 120

export interface Endpoint {
  family: 4 | 6
  address: Uint8Array
  port: number
}

/** `127.0.0.1:4000` or `[::1]:4000`. */
export const endpoint = (text: string | undefined, option: string): Endpoint => {
  const match = /^(?:\[(.+)\]|([^:]+)):(\d{1,5})$/.exec(text ?? '')
  const host = match?.[1] ?? match?.[2] ?? ''
  const family = isIP(host)
  const port = Number(match?.[3])
  if ((family !== 4 && family !== 6) || port > 65_535) throw new Error(`${option} must be IP:PORT, not ${text}`)
  return { family, address: Uint8Array.from(ipaddr.parse(host).toByteArray()), port }
}

/** A number within [low, high]. */
export const number = (text: string | undefined, option: string, low: number, high: number): number => {
  const value = Number(text)
  if (!(value >= low && value <= high))
    throw new Error(`${option} must be a number from ${low} to ${high}, not ${text}`)
  return value
}

/** User and system time of this process so far, in seconds. */
export const cpuSeconds = (): number => {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1e6
}
