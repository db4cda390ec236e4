import { fileURLToPath } from 'node:url'
import { getSystemErrorName } from 'node:util'
import { ErrorCode, FakeTcpError } from './errors.js'
import { loadAddon } from './load-addon.js'

/**
 * The contract of the addon, and its only importer. A call is one system call, or a batch of the same one. It takes
 * numbers and memory, and answers a count, a descriptor or `-errno`. No policy lives in native/: whatever could be
 * decided otherwise is an argument.
 *
 * Memory is named in one of two ways. A number is an *arena*: bytes that the thread has registered with `arenaOpen`. It
 * is cheap to pass, while looking up a typed array takes about 45 ns. A `Uint8Array` is taken as it is. Every offset
 * counts bytes from the start of that memory. The addon checks every range, and answers `-EFAULT` for one that lies
 * outside.
 *
 * A vector (`vec`) is an arena that the addon reads as native-endian 32-bit words. `vecAt` and every index into a
 * vector counts words.
 */
export type Memory = number | Uint8Array

/**
 * Words of one record written by `udpReceive` and read by `udpSend`. Addresses are in network byte order as they lie in
 * memory.
 */
export const Message = {
  /**
   * udpReceive: byte offset of the datagram · udpSend: word index of its first piece (pairs of byte offset and length).
   */
  at: 0,
  /** udpReceive: length in bytes · udpSend: number of pieces. */
  length: 1,
  /** Bytes per datagram inside the message (UDP_GRO, UDP_SEGMENT); 0: it is one datagram. */
  segmentSize: 2,
  /** Port of the other end, host order; udpSend: 0 sends to the connected peer. */
  port: 3,
  /** Address of the other end, 16 bytes; IPv4 takes the first four, the rest is zero. */
  address: 4,
  /**
   * Our own address (IP_PKTINFO), in the same form. All zero: unknown (udpReceive), or left to the kernel (udpSend).
   */
  local: 8,
  /** Interface index, where the other end's address or our own is link-local; else 0. */
  scope: 12,
  /** udpReceive: 1 when the datagram was longer than its room, so that the kernel cut it. */
  truncated: 13,
  /**
   * udpReceive: 1 when the datagram was sent to a broadcast or multicast address. Then each socket on the port gets a
   * copy.
   */
  copies: 14,
  /** Words per record. */
  words: 16,
} as const

/**
 * `segment` changes nothing about the socket: it makes `udpOpen` fail (-ENOPROTOOPT) on a kernel without UDP_SEGMENT.
 * `gro` fails in the same way on a kernel without UDP_GRO.
 */
export const UdpFlag = { reusePort: 1, packetInfo: 2, gro: 4, v6Only: 8, segment: 16 } as const

/**
 * Bits of a `Poller`'s interest and events: EPOLLIN, EPOLLOUT, and EPOLLERR | EPOLLHUP for `gone`. Only tests use
 * `write` and `gone`.
 */
export const Ready = { read: 1, write: 4, gone: 0x18 } as const

/** TUN flags for `tunOpen` (linux/if_tun.h). `tunOpen` itself sets IFF_TUN and IFF_NO_PI. */
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
  /**
   * Adds a descriptor, level-triggered, for `interest` (`Ready`). Its events come with `token` (int32). 0 or -errno.
   */
  add(fd: number, token: number, interest: number): number
  modify(fd: number, token: number, interest: number): number
  remove(fd: number): number
  /** The open poller keeps the event loop alive from now on. It does so at first. */
  ref(): void
  /** The open poller does not keep the event loop alive from now on. */
  unref(): void
  /** Idempotent. No callback comes afterwards. */
  close(): void
}

export interface Addon {
  /**
   * Registers memory for this thread and keeps it alive. Answers the arena, a small number ≥ 0. The memory may be a
   * SharedArrayBuffer's.
   */
  arenaOpen(bytes: Uint8Array): number
  arenaClose(arena: number): number

  /** memmove. Bytes copied. */
  copy(to: Memory, toAt: number, from: Memory, fromAt: number, length: number): number
  /**
   * Does memmoves within one memory, in the order of the triples (to, from, length: bytes) in `vec`. 0, or -EFAULT
   * after some of them were done.
   */
  moveBatch(memory: Memory, vec: number, vecAt: number, moves: number): number
  /**
   * Ones' complement sum of 16-bit big-endian words (RFC 1071), folded to 16 bits and **not** inverted. An odd last
   * byte counts as the high half of a word. `initial` is a sum of up to 32 bits to start from.
   */
  checksum(memory: Memory, at: number, length: number, initial: number): number
  /** CLOCK_MONOTONIC in milliseconds, the same in every thread and process of the machine. Never steps back. */
  clock(): number

  /** Opens /dev/net/tun and attaches one queue; an empty name lets the kernel choose. A descriptor or -errno. */
  tunOpen(name: string, flags: number): number
  /**
   * Takes over a TUN queue that another program or library has opened: makes it non-blocking, and closes it when this
   * thread's environment ends. Answers its flags (IFF_TUN, IFF_NO_PI, IFF_VNET_HDR …), or -errno (-EBADFD, -ENOTTY: no
   * TUN descriptor).
   */
  tunAdopt(fd: number): number
  /** Interface name of a TUN descriptor, or -errno. */
  tunName(fd: number): string | number
  tunHeaderSize(fd: number, bytes: number): number
  tunOffload(fd: number, offloads: number): number
  /**
   * Has the kernel put every packet on the queue (source port XOR destination port) modulo the number of queues, by an
   * eBPF program (TUNSETSTEERINGEBPF). `queueOf` in src/engine/ports.ts computes the same: the two must agree. Without
   * such a program the kernel hashes every packet, and puts a flow on the queue that wrote it last. 0 or -errno: -EPERM
   * without CAP_BPF.
   */
  tunSteer(fd: number): number
  /**
   * A BPF map for the flood filter: 16 MiB of the kernel's memory, with one byte for each place that a tuple may hash
   * to. A descriptor or -errno: -EPERM without CAP_BPF.
   */
  floodMapOpen(): number
  /**
   * An eBPF program for `tunFilter`. It passes all packets of the tuples that `floodAdmit` was given. Of the others it
   * passes, per span of 2^`spanBits` ns, up to `handshakes` packets that belong to a handshake, and up to `others` that
   * do not. SYNs belong to a handshake, and so does any packet of a tuple whose SYN came in the current span of
   * 2^`retryBits` ns or the one before. A descriptor or -errno: -EPERM without CAP_BPF.
   */
  floodFilterOpen(map: number, spanBits: number, handshakes: number, others: number, retryBits: number): number
  /**
   * Attaches a program to the interface of a TUN descriptor. The kernel runs it for every packet before it puts the
   * packet on a queue (TUNSETFILTEREBPF). `program` -1 detaches the one that is attached. 0 or -errno.
   */
  tunFilter(fd: number, program: number): number
  /** Forgets all tuples, and changes the places that tuples hash to. 0 or -errno. */
  floodBegin(map: number): number
  /**
   * With `twice` 1 a SYN passes only when a SYN of its tuple came in the current span of 2^`retryBits` ns or the one
   * before. 0 or -errno.
   */
  floodSyns(map: number, twice: number): number
  /**
   * Adds tuples of live connections: six words each in this machine's byte order (family, remote port << 16 | local
   * port, remote address). 0 or -errno.
   */
  floodAdmit(map: number, tuples: Uint8Array): number
  /**
   * Packets that the programs of this map have dropped so far: with `syns` 1 the SYNs, with 0 the others. Or -errno.
   */
  floodDropped(map: number, syns: number): number
  /**
   * Writes to `out[0]` and `out[1]` two descriptors (SOCK_SEQPACKET, non-blocking) that carry whole packets to each
   * other. 0 or -errno.
   */
  pairOpen(out: Int32Array): number
  /**
   * An AF_PACKET socket that gets every packet of an interface, both directions, without link-layer header
   * (SOCK_DGRAM). `receiveBuffer`: bytes, or 0 for the kernel's default. A descriptor or -errno.
   */
  captureOpen(interfaceName: string, receiveBuffer: number): number

  /**
   * An AF_PACKET socket that gets the packets of every interface, both directions, that a classic BPF program passes.
   * `filter` is an array of `struct sock_filter`; its offsets count from the network header. A descriptor or -errno:
   * -EPERM without CAP_NET_RAW.
   */
  sniffOpen(filter: Uint8Array): number
  /**
   * Reads the next packet from a `sniffOpen` socket, cut to `length`: bytes or -errno (-EAGAIN: none). Writes to `vec`
   * the index of the interface, and 1 for an outgoing packet, else 0.
   */
  sniffRead(fd: number, memory: Memory, at: number, length: number, vec: number, vecAt: number): number

  /** Sets MTU and transmit queue length (packets), each unless it is 0, and brings the interface up. 0 or -errno. */
  linkUp(name: string, mtu: number, txQueueLength: number): number
  /**
   * Lets the interface take super-packets whose segments all carry the same IP id (`tx-tcp-mangleid-segmentation`).
   * Stock peers always send id 0. Without this the kernel cuts their packets again after GRO has merged them. 0 or
   * -errno.
   */
  linkMangleId(name: string): number
  /**
   * A non-blocking rtnetlink socket, for `read` and `write`. `groups` (RTMGRP_*) selects the changes that the kernel
   * reports on it. A descriptor or -errno.
   */
  netlinkOpen(groups: number): number

  /** One read. Bytes, 0 at the end of a stream, or -errno (-EAGAIN: nothing there). */
  read(fd: number, memory: Memory, at: number, length: number): number
  /** One write. Bytes or -errno. */
  write(fd: number, memory: Memory, at: number, length: number): number
  /**
   * Makes up to `max` reads of one packet each. The packets lie densely in [at, end): each begins at the next multiple
   * of 64, and is read only while `room` bytes are left from there. Writes a pair (byte offset, length) per packet to
   * `vec`, and with `sumsAt` ≥ 0 each packet's sum (`checksum` from 0) to the words from there on. Answers the number
   * of packets: 0 when none had come (EAGAIN) or there was no room. -errno when the first read fails (-EPIPE when the
   * other end of a pair is gone).
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
  /**
   * Makes one write of a header and `pieces` ranges of `body` (pairs of byte offset and length in `vec`). Bytes or
   * -errno.
   */
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
   * Writes what `writeGather` writes as one super-packet, but as one packet per segment: for devices without offload.
   * `head` is a template: `virtioLength` bytes that are written as zeros, a 20-byte IPv4 or 40-byte IPv6 header, and a
   * TCP header of any valid length. It stays unchanged. Each piece is cut every `segmentSize` bytes, so its last
   * segment may be shorter; 0 cuts nothing. In each segment the addon sets total or payload length, IPv4 id (+ 1 each)
   * and header checksum, seq (+ the bytes before it), and the whole TCP checksum. The number of segments written, or
   * -errno when the first one fails.
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
  /**
   * Undoes `udpConnect`. The socket keeps a port that was bound, but not the address and interface that the kernel
   * chose. 0 or -errno.
   */
  udpDisconnect(fd: number): number
  /** Writes the socket's own address to `out`, all zero when it has none yet. Its length (4 or 16) or -errno. */
  udpAddress(fd: number, out: Uint8Array): number
  /** Local port, or -errno. */
  udpPort(fd: number): number
  /**
   * Sets both socket buffers (bytes), each unless it is 0. The system's maximum holds only for a process without
   * CAP_NET_ADMIN. 0 or -errno.
   */
  socketBuffers(fd: number, receive: number, send: number): number
  /**
   * Reads up to `max` (≤ 256) messages by one recvmmsg, message i to the `stride` bytes at `at + i * stride`. Writes a
   * record (`Message`) per message to `vec`. The number of messages (0: none had come) or -errno.
   */
  udpReceive(fd: number, memory: Memory, at: number, stride: number, max: number, vec: number, vecAt: number): number
  /**
   * Sends `messages` records, which begin at `vecAt`, by one sendmmsg. The pieces of a message are gathered from
   * `memory`. The kernel cuts a message (UDP_SEGMENT) when its `segmentSize` is > 0 and smaller than the whole. The
   * number of messages sent, or -errno when the first one fails.
   */
  udpSend(fd: number, family: 4 | 6, memory: Memory, vec: number, vecAt: number, messages: number): number

  /** Index of the network interface of this name, or -errno (-ENODEV: there is none). */
  interfaceIndex(name: string): number
  /** Name of the network interface with this index, or -errno. */
  interfaceName(index: number): string | number

  /** A non-blocking eventfd. */
  eventOpen(): number
  eventRing(fd: number): number
  /** Resets the counter. Answers its value: 0 when nobody has rung. */
  eventDrain(fd: number): number

  /** A non-blocking timerfd. `eventDrain` answers how often it has ticked. */
  timerOpen(): number
  /** The timer ticks at this interval from now on; 0 stops it. 0 or -errno. */
  timerSet(fd: number, microseconds: number): number

  /**
   * One write that never blocks. It leaves the flags of the open file alone, which other processes may share. A socket
   * takes as much as it has room for. Anything else is written only when poll() finds it writable, and then at most
   * PIPE_BUF (4,096) bytes. A terminal must be open with O_NONBLOCK, since it may be writable and have room for less.
   * Bytes or -errno (-EAGAIN: no room).
   */
  writeNow(fd: number, memory: Memory, at: number, length: number): number
  /**
   * Ends the process with this exit code after so many milliseconds, whatever its threads are doing then. An orderly
   * exit would wait for name look-ups that are under way. 0 or -errno.
   */
  exitAfter(milliseconds: number, code: number): number

  /**
   * Another descriptor for the open file of `fd`. The new one belongs to this thread; `fd` may belong to another. A
   * descriptor or -errno.
   */
  duplicate(fd: number): number
  /**
   * Closes a descriptor that this thread has opened. The addon closes those that are left when the thread's environment
   * ends. 0 or -errno (-EBADF: this thread has not opened it).
   */
  close(fd: number): number

  /**
   * One epoll set, whose descriptor libuv polls. `onReady(count)` is called when `count` pairs (token, events) lie at
   * the start of `vec`, at most `capacity` of them. Events that did not fit come in the next turn of the event loop.
   */
  Poller: new (
    vec: number,
    capacity: number,
    onReady: (count: number) => void,
  ) => Poller
}

/** The package's root. The compiled file is dist/src/native.js. */
const { addon, fault } = loadAddon<Addon>(fileURLToPath(new URL('../..', import.meta.url)))

/** The addon. If it could not be loaded, every call throws `addonFault`. */
export const native: Addon = addon

/** Why the addon could not be loaded; undefined when it was. */
export const addonFault: FakeTcpError | undefined = fault

/** The name of a -errno: 'EAGAIN' for -11. A number that Node.js does not know comes back as digits. */
export const errnoName = (result: number): string => {
  try {
    return getSystemErrorName(result)
  } catch {
    return String(-result)
  }
}

/** Throws DEVICE for the -errno of a watch that the kernel refused: it has no memory left, or no epoll watch. */
export const checkWatch = (result: number): void => {
  if (result >= 0) return
  throw new FakeTcpError(ErrorCode.DEVICE, `The kernel refused to watch a descriptor (${errnoName(result)}).`)
}

/** Errno values of Linux that the code or its tests distinguish. */
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
