import { randomInt } from 'node:crypto'
import { availableParallelism } from 'node:os'
import { invalid } from '../errors.js'
import type { EventLog } from '../log/events.js'
import type { Device } from '../net/device.js'
import type { KeepaliveOptions } from './keep-alive.js'

/** How to make a TUN interface. Addresses come in pairs: the kernel's end (`host…`) and ours (`stack…`). */
export interface TunOptions {
  /** Interface name; the kernel chooses when it is left out. */
  name?: string
  hostAddress?: string
  stackAddress?: string
  hostAddress6?: string
  stackAddress6?: string
  /**
   * What happens when an IPv4 address is in use on this machine already: an error (default), or the next free pair like this one
   * (192.168.202.1 and .2 for 192.168.200.1 and .2, and so on), and a warning that names it.
   */
  ifAddressesTaken?: 'error' | 'others'
  /** The same for the IPv6 addresses (fcca::1 and ::2 for fcc8::1 and ::2). */
  ifAddressesTaken6?: 'error' | 'others'
  /** What happens when IPv6 addresses are given and the machine has IPv6 switched off: an error (default), or IPv4 alone and a warning. */
  ifNoIPv6?: 'error' | 'ipv4'
  /** TUN queues, one worker each. Default: the machine's cores, at most 8. */
  queues?: number
  /** Bytes of the largest packet. Default 1500. */
  mtu?: number
  /** Super-packets and checksum offload. Default true; a kernel that refuses them is used without. */
  offload?: boolean
  /** Packets that may wait in front of a slow worker. Default 1000. */
  txQueueLength?: number
  /**
   * Queues of an interface that somebody else has opened, brought up and addressed, instead of making one: the descriptors become ours.
   * IFF_TUN and IFF_NO_PI, and IFF_VNET_HDR for super-packets. Of the other options only `mtu`, `stackAddress` and `stackAddress6` apply. Needs no privileges.
   */
  descriptors?: readonly number[]
}

export interface StackOptions {
  tun?: TunOptions
  /** A device made elsewhere (`createVirtualLink`) instead of a TUN interface; the stack closes it. */
  device?: Device
  /** Our address on `device`; default: what the device brings. */
  stackAddress?: string
  stackAddress6?: string
  /** Most connections at once, 256 bytes of shared memory each. Default 32,768. */
  maxConnections?: number
  /** Bytes of packets that may wait between a worker and a consumer, from 512 KiB to 1 GiB. Default 4 MiB. */
  ringBytes?: number
  /** Ask silent peers for a sign of life, and close connections to those that give none. Default: never. */
  keepalive?: KeepaliveOptions
  /** Threads that sockets can be transferred to, besides the stack's own. Default 4. */
  consumers?: number
  /**
   * Microseconds that arriving packets may wait so that more of them are handled in one go: less processor time at moderate rates,
   * for so much more latency. Default 0.
   */
  coalesceUs?: number
  /** Most unread bytes of one socket before its newest datagrams are dropped and counted. Default 4 MiB. */
  receiveBytes?: number
  /**
   * Milliseconds that a worker may be busy, or asleep, in one callback of a service before another one takes its place. Default 500; 0: for
   * ever. Not while it loads a service, and not under a debugger.
   */
  stuckAfter?: number
  /** MiB of JavaScript heap at which a worker is ended, and another one takes its place. Default 512. */
  workerHeap?: number
  /** Where the stack tells of its life; a pino logger or anything like it. Default: nowhere. */
  logger?: EventLog
}

export interface ConnectOptions {
  signal?: AbortSignal
  /** Milliseconds until the attempt fails. Default 6,000; a SYN goes out each second. */
  timeout?: number
}

export interface ListenOptions {
  /** Connections waiting for `accept`; more are turned away. Default 128. */
  backlog?: number
}

export const defaults = {
  queues: Math.min(availableParallelism(), 8),
  mtu: 1500,
  txQueueLength: 1_000,
  maxConnections: 32_768,
  ringBytes: 4 * 1024 * 1024,
  consumers: 4,
  receiveBytes: 4 * 1024 * 1024,
  connectTimeout: 6_000,
  stuckAfter: 500,
  workerHeap: 512,
  backlog: 128,
} as const

/** `value` when it is a whole number within bounds, else INVALID_ARGUMENT naming it. */
export const whole = (value: number, what: string, least: number, most: number): number => {
  if (!Number.isInteger(value) || value < least || value > most) {
    throw invalid(`${what} must be a whole number from ${least} to ${most}, not ${value}.`)
  }
  return value
}

/** A signed 32-bit number nobody can guess. */
export const secretWord = (): number => randomInt(0, 2 ** 32) | 0
