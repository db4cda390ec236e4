import { fileURLToPath } from 'node:url'
import { getSystemErrorName } from 'node:util'
import { ErrorCode, FakeTcpError } from './errors.js'
import { loadAddon } from './load-addon.js'

/**
 * The only importer of the addon. Every call is one system call or a batch of the same one: numbers in, a count, a
 * descriptor or `-errno` out. No policy lives below this line.
 *
 * Memory is named in one of two ways. A number is an *arena*: bytes registered once per thread with `arenaOpen`, cheap to
 * pass (no typed-array look-up, about 45 ns each). A `Uint8Array` is taken as it is. Every offset is in bytes from the start
 * of that memory, every range is checked against its end, and a range outside answers `-EFAULT`.
 *
 * Vectors (`vec`) are arenas read as native-endian 32-bit words; `vecAt` and every index into one counts words.
 */
export type Memory = number | Uint8Array

/** Words of one record written by `udpReceive` and read by `udpSend`. Addresses are in network byte order as they lie in memory. */
export const Message = {
  /** udpReceive: byte offset of the datagram · udpSend: word index of its first piece (pairs of byte offset and length). */
  at: 0,
  /** udpReceive: length in bytes · udpSend: number of pieces. */
  length: 1,
  /** Bytes per datagram inside the message (UDP_GRO, UDP_SEGMENT); 0: it is one datagram. */
  segmentSize: 2,
  /** Port of the other end, host order; udpSend: 0 sends to the connected peer. */
  port: 3,
  /** Address of the other end, 16 bytes; IPv4 takes the first four, the rest is zero. */
  address: 4,
  /** Our own address (IP_PKTINFO), same form; all zero: unknown, or left to the kernel. */
  local: 8,
  /** Interface index, where the other end's address or our own is link-local; else 0. */
  scope: 12,
  /** 1 when the datagram was longer than its room and cut (udpReceive). */
  truncated: 13,
  /** 1 when it was sent to a broadcast or multicast address: each socket of the port has a copy (udpReceive). */
  copies: 14,
  /** Words per record. */
  words: 16,
} as const

/** `segment` changes nothing; a kernel without UDP_SEGMENT refuses the socket then (-ENOPROTOOPT), one without UDP_GRO for `gro`. */
export const UdpFlag = { reusePort: 1, packetInfo: 2, gro: 4, v6Only: 8, segment: 16 } as const

/** Interest and readiness bits of `Poller`, equal to EPOLLIN and EPOLLOUT; `gone` is EPOLLERR | EPOLLHUP. */
export const Ready = { read: 1, write: 4, gone: 0x18 } as const

/** TUN flags for `tunOpen` (linux/if_tun.h): IFF_TUN and IFF_NO_PI are always set. */
export const TunFlag = {
  tun: 0x0001,
  noInformation: 0x1000,
  multiQueue: 0x0100,
  vnetHeader: 0x4000,
  exclusive: 0x8000,
} as const
/** Offload bits for `tunOffload` (TUN_F_*). */
export const TunOffload = { checksum: 1, tso4: 2, tso6: 4 } as const

export interface Poller {
  /** Adds a descriptor; `token` (int32) comes back with its events. Level-triggered. 0 or -errno. */
  add(fd: number, token: number, interest: number): number
  modify(fd: number, token: number, interest: number): number
  remove(fd: number): number
  /** Whether an open poller keeps the event loop alive (it does at first). */
  ref(): void
  unref(): void
  /** Idempotent; no callback comes afterwards. */
  close(): void
}

export interface Addon {
  /** Registers memory for this thread and keeps it alive. A small number ≥ 0. Views over SharedArrayBuffer are welcome. */
  arenaOpen(bytes: Uint8Array): number
  arenaClose(arena: number): number

  /** memmove. Bytes copied. */
  copy(to: Memory, toAt: number, from: Memory, fromAt: number, length: number): number
  /** memmoves within one memory, in this order: triples (to, from, length) of bytes in `vec`. 0 or -EFAULT, with some of them done. */
  moveBatch(memory: Memory, vec: number, vecAt: number, moves: number): number
  /**
   * Ones' complement sum of 16-bit big-endian words (RFC 1071), folded to 16 bits, **not** inverted; an odd last byte counts
   * as the high half. `initial` is a sum of up to 32 bits to start from.
   */
  checksum(memory: Memory, at: number, length: number, initial: number): number
  /** CLOCK_MONOTONIC in milliseconds, the same in every thread and process of the machine. Never steps back. */
  clock(): number

  /** Opens /dev/net/tun and attaches one queue; an empty name lets the kernel choose. A descriptor or -errno. */
  tunOpen(name: string, flags: number): number
  /**
   * Takes over a queue that somebody else opened: makes it non-blocking and closes it with this thread's environment. Its flags (IFF_TUN,
   * IFF_NO_PI, IFF_VNET_HDR …), or -errno (-EBADFD, -ENOTTY: no TUN descriptor).
   */
  tunAdopt(fd: number): number
  /** Interface name of a TUN descriptor, or -errno. */
  tunName(fd: number): string | number
  tunHeaderSize(fd: number, bytes: number): number
  tunOffload(fd: number, offloads: number): number
  /**
   * Has the kernel put every packet on the queue (source port XOR destination port) modulo the number of queues, by an eBPF program
   * (TUNSETSTEERINGEBPF). `queueOf` in src/engine/ports.ts computes the same: the two must agree. Without a program the kernel puts a flow on the
   * queue that wrote it last, and hashes every packet to find that. 0 or -errno: -EPERM without CAP_BPF.
   */
  tunSteer(fd: number): number
  /**
   * A BPF map for the flood filter: 16 MiB of the kernel's memory, one byte for each place that a tuple may hash to. A descriptor or -errno: -EPERM
   * without CAP_BPF.
   */
  floodMapOpen(): number
  /**
   * An eBPF program for `tunFilter`. It passes all packets of the tuples that `floodAdmit` was given. Of the others it passes, per span of
   * 2^`spanBits` ns, up to `handshakes` packets that belong to a handshake, and up to `others` that do not. To a handshake belong a SYN, and any
   * packet of a tuple whose SYN came in the current span of 2^`retryBits` ns or the one before. A descriptor or -errno: -EPERM without CAP_BPF.
   */
  floodFilterOpen(map: number, spanBits: number, handshakes: number, others: number, retryBits: number): number
  /**
   * Attaches this program to the interface of a TUN descriptor: the kernel asks it about every packet before it puts the packet on a queue
   * (TUNSETFILTEREBPF). `program` -1 detaches what is attached. 0 or -errno.
   */
  tunFilter(fd: number, program: number): number
  /** Forgets all tuples, and changes the places that tuples hash to. 0 or -errno. */
  floodBegin(map: number): number
  /** With `twice` 1 a SYN passes only when a SYN of its tuple came in the current span of 2^`retryBits` ns or the one before. 0 or -errno. */
  floodSyns(map: number, twice: number): number
  /** Adds tuples of live connections: six words each in this machine's byte order (family, remote port << 16 | local port, remote address). 0 or -errno. */
  floodAdmit(map: number, tuples: Uint8Array): number
  /** Packets that programs of this map have dropped so far, or -errno: with `syns` 1 the SYNs, with 0 the others. */
  floodDropped(map: number, syns: number): number
  /** Two descriptors (SOCK_SEQPACKET, non-blocking) that carry whole packets to each other, into `out[0]` and `out[1]`. */
  pairOpen(out: Int32Array): number
  /** An AF_PACKET socket that sees every packet of an interface, both directions, link-layer header stripped (SOCK_DGRAM). */
  captureOpen(interfaceName: string, receiveBuffer: number): number

  /**
   * An AF_PACKET socket that hears those packets of every interface, both directions, that a classic BPF program lets through (`struct
   * sock_filter` after `struct sock_filter`, from the network header on). A descriptor or -errno: -EPERM without CAP_NET_RAW.
   */
  sniffOpen(filter: Uint8Array): number
  /** The next of its packets, cut to `length`: bytes or -errno (-EAGAIN: none). Interface index and 1 for an outgoing one go to `vec`. */
  sniffRead(fd: number, memory: Memory, at: number, length: number, vec: number, vecAt: number): number

  /** Sets MTU and transmit queue length (packets; each skipped when 0) and brings the interface up. */
  linkUp(name: string, mtu: number, txQueueLength: number): number
  /**
   * Lets the interface take super-packets whose segments all carry the same IP id (`tx-tcp-mangleid-segmentation`). Stock peers send id 0
   * always: what GRO made of their packets would be cut up again in front of the interface. 0 or -errno.
   */
  linkMangleId(name: string): number
  /**
   * A non-blocking rtnetlink socket, read and written with `read` and `write`; `groups` (RTMGRP_*) are the changes it hears of. A
   * descriptor or -errno.
   */
  netlinkOpen(groups: number): number

  /** One read. Bytes, 0 at the end of a stream, or -errno (-EAGAIN: nothing there). */
  read(fd: number, memory: Memory, at: number, length: number): number
  /** One write. Bytes or -errno. */
  write(fd: number, memory: Memory, at: number, length: number): number
  /**
   * Up to `max` reads, one packet each, laid densely into [at, end): each packet starts at the next multiple of 64 and is read
   * only while `room` bytes are free behind it. Pairs (byte offset, length) go to `vec`, and with `sumsAt` ≥ 0 each packet's sum
   * (`checksum` from 0) to the words there. Number of packets; 0 when nothing was
   * there (EAGAIN) or the room ended; -errno when the first read fails (-EPIPE when the other end of a pair is gone).
   */
  readBatch(
    fd: number,
    memory: Memory,
    at: number,
    end: number,
    room: number,
    vec: number,
    vecAt: number,
    max: number,
    sumsAt: number,
  ): number
  /** One write of a header followed by `pieces` ranges of `body` (pairs in `vec`). Bytes or -errno. */
  writeGather(
    fd: number,
    head: Memory,
    headAt: number,
    headLength: number,
    body: Memory,
    vec: number,
    vecAt: number,
    pieces: number,
  ): number
  /**
   * The same bytes as one packet per segment, for devices without offload. `head` is a template: `virtioLength` bytes that are
   * written as zeros, then a 20-byte IPv4 or 40-byte IPv6 header, then a TCP header of any valid length. Each piece is cut every
   * `segmentSize` bytes (its last segment may be shorter; 0: not cut). Per segment the addon sets total or payload length, IPv4 id (+1 each) and
   * header checksum, seq (+ the bytes before it), and a full TCP checksum. The template is unchanged. Number of segments
   * written, or -errno when the first one fails.
   */
  writeSegments(
    fd: number,
    head: Memory,
    headAt: number,
    headLength: number,
    virtioLength: number,
    body: Memory,
    vec: number,
    vecAt: number,
    pieces: number,
    segmentSize: number,
  ): number

  /** A non-blocking UDP socket of family 4 or 6, or -errno. `flags` are `UdpFlag` bits. */
  udpOpen(family: 4 | 6, flags: number): number
  udpBind(fd: number, address: Uint8Array, port: number, scope: number): number
  udpConnect(fd: number, address: Uint8Array, port: number, scope: number): number
  /** Takes back `udpConnect`: a port that was bound stays, the address and interface that the kernel chose do not. 0 or -errno. */
  udpDisconnect(fd: number): number
  /** The socket's own address into `out`, all zero when it has none yet. Its length (4 or 16) or -errno. */
  udpAddress(fd: number, out: Uint8Array): number
  /** Local port, or -errno. */
  udpPort(fd: number): number
  /** SO_RCVBUFFORCE / SO_SNDBUFFORCE, or the plain options without CAP_NET_ADMIN; each skipped when 0. */
  socketBuffers(fd: number, receive: number, send: number): number
  /**
   * recvmmsg: message i is read to `at + i * stride`, `stride` bytes of room each, up to `max` (≤ 256) messages; records
   * (`Message`) go to `vec`. Number of messages (0: nothing there) or -errno.
   */
  udpReceive(fd: number, memory: Memory, at: number, stride: number, max: number, vec: number, vecAt: number): number
  /**
   * sendmmsg of `messages` records at `vecAt`; each one's pieces are gathered from `memory`, and cut by UDP_SEGMENT when
   * `segmentSize` > 0 and smaller than the whole. Number of messages sent, or -errno when the first one fails.
   */
  udpSend(fd: number, family: 4 | 6, memory: Memory, vec: number, vecAt: number, messages: number): number

  /** Index of a network interface, or -errno (-ENODEV: there is none of that name). */
  interfaceIndex(name: string): number
  /** Its name, or -errno. */
  interfaceName(index: number): string | number

  /** A non-blocking eventfd. */
  eventOpen(): number
  eventRing(fd: number): number
  /** Resets the counter; the count, 0 when it was not rung. */
  eventDrain(fd: number): number

  /** A non-blocking timerfd; `eventDrain` takes its ticks. */
  timerOpen(): number
  /** Ticks every so many microseconds from now on; 0 stops it. */
  timerSet(fd: number, microseconds: number): number

  /**
   * One write that waits for nobody, and changes nothing for others who have the same open file: a socket takes what it has room for, anything
   * else at most PIPE_BUF (4,096) bytes and only when it says that it is writable. Bytes or -errno (-EAGAIN: no room). A terminal may say so and
   * then have room for less: it must be open with O_NONBLOCK.
   */
  writeNow(fd: number, memory: Memory, at: number, length: number): number
  /**
   * The process ends with this code after so many milliseconds, whatever its threads do meanwhile: an orderly exit waits for name look-ups. 0 or
   * -errno.
   */
  exitAfter(milliseconds: number, code: number): number

  /** Another descriptor for the same open file, which may be another thread's; it is this thread's own. A descriptor or -errno. */
  duplicate(fd: number): number
  /** Closes a descriptor that this thread opened. What stays open is closed when the thread's environment ends. */
  close(fd: number): number

  /**
   * One epoll set whose descriptor libuv polls. `onReady(count)` is called with `count` pairs (token, events) at the start of
   * `vec` (at most `capacity` pairs); what was not taken comes again in the next turn of the loop.
   */
  Poller: new (
    vec: number,
    capacity: number,
    onReady: (count: number) => void,
  ) => Poller
}

/** The package's root: this file runs as dist/src/native.js. */
const { addon, fault } = loadAddon<Addon>(fileURLToPath(new URL('../..', import.meta.url)))

/** Where it could not be loaded, whatever is asked of it throws `addonFault`. */
export const native: Addon = addon

/** Why there is no addon; undefined when there is one. */
export const addonFault: FakeTcpError | undefined = fault

/** 'EAGAIN' for -11; numbers the C library does not know come back as digits. */
export const errnoName = (result: number): string => {
  try {
    return getSystemErrorName(result)
  } catch {
    return String(-result)
  }
}

/** Has a poller watch a descriptor that the caller cannot do without. Throws DEVICE when the kernel refuses: it is out of memory, or of watches. */
export const watch = (poller: Poller, fd: number, token: number, interest: number): void => {
  const result = poller.add(fd, token, interest)
  if (result >= 0) return
  throw new FakeTcpError(ErrorCode.DEVICE, `The kernel refused to watch a descriptor (${errnoName(result)}).`)
}

/** Linux errno values that the code tells apart, and those that its tests expect. */
export const Errno = {
  EPERM: 1,
  ENOENT: 2,
  EIO: 5,
  ENXIO: 6,
  EBADF: 9,
  EAGAIN: 11,
  ENOMEM: 12,
  EACCES: 13,
  EFAULT: 14,
  EBUSY: 16,
  EEXIST: 17,
  ENODEV: 19,
  EINVAL: 22,
  ENFILE: 23,
  EMFILE: 24,
  EPIPE: 32,
  EBADFD: 77,
  EMSGSIZE: 90,
  EOPNOTSUPP: 95,
  EAFNOSUPPORT: 97,
  EADDRINUSE: 98,
  EADDRNOTAVAIL: 99,
  ENETUNREACH: 101,
  ECONNRESET: 104,
  ENOBUFS: 105,
  ECONNREFUSED: 111,
  EHOSTUNREACH: 113,
} as const
