/**
 * Every rate and size by which floods are recognised and kept off. Rates count packets per second. A rate of a worker
 * holds for each worker by itself: workers share nothing here.
 *
 * To read a packet and refuse it takes a worker 1.3 µs, half of it the kernel's. At 600,000 packets a second that is
 * most of a core.
 */

/**
 * Milliseconds of an epoch of SYN cookies. A cookie is valid in its epoch and the next: for 64 to 128 s. That is longer
 * than a client tries: the last SYN of Linux comes after 1 + 2 + 4 + 8 + 16 + 32 = 63 s.
 */
export const cookieEpochMs = 64_000

/**
 * SYNs per worker that are answered without further questions. One more costs a read and a hash, and gets no answer.
 */
export const synRate = 50_000
/** Of them at once: what 0.6 s bring at that rate, so that a server's clients may all come back in one moment. */
export const synBurst = 30_000
/**
 * SYNs per worker that are answered above `synRate` because they come for the second time. A flood may repeat itself
 * too, so these are limited as the others are.
 */
export const synAgainRate = 50_000
/** SYNs that are answered per source (an IPv4 address or an IPv6 /64) and worker. */
export const synSourceRate = 2_000
/** Of them at once: a NAT with thousands of users may open this many in one moment. */
export const synSourceBurst = 20_000
/**
 * Buckets that sources are hashed to; the sources of one bucket share its rate. 100,000 spoofed sources that send a SYN
 * a second each take 100,000 / 8,192 = 12 of the 2,000 of every bucket. They take 64 KiB per worker.
 */
export const synSourceBuckets = 8_192
/**
 * Bits of each of a worker's two filters for SYNs that were seen. At 300,000 SYNs a second the two hold at most 1.2
 * million of them, those of 4 s. The chance that a new SYN finds its bit set is then 1 - e^(-1.2 / 8.4) = 13 %: one in
 * seven passes. They take 2 MiB, once there is a flood.
 */
export const synFilterBits = 2 ** 23
/**
 * Milliseconds until the older filter is emptied. A SYN is a retry when its tuple's last one came within one to two of
 * these. The first retry of every client comes after 1 s.
 */
export const synFilterMs = 2_000

/**
 * RSTs per worker to packets that belong to no connection. The peers of a restarted server must learn that their
 * connections are gone; but a flood must not get an answer to every packet.
 */
export const strangerRate = 1_000

/**
 * A worker that refuses more packets than this reports a flood. Nobody sends that many by mistake. Refusing them takes
 * 1.3 % of a core.
 */
export const alarmRate = 10_000
/** Of them at once, before the alarm: what 0.1 s bring at that rate. */
export const alarmBurst = 1_000
/** Milliseconds between two alarms of one flood. */
export const alarmMs = 1_000

/**
 * A flood has ended when the kernel's filter drops fewer packets than this; then the filter goes. It is less than what
 * the filter drops of the smallest flood that raises the alarm: 10,000 - 5,960 packets that belong to nothing, 50,000 -
 * 47,700 SYNs. Else such a flood would switch the filter on and off every second.
 */
export const filterOffRate = 2_000
/**
 * While the filter drops the first SYN of every tuple, those of real clients are among them. When it drops fewer SYNs
 * than this, first SYNs pass again. It is far more than `filterOffRate`: else the clients of a busy server would keep
 * the filter after the flood.
 */
export const synsTwiceOffRate = 20_000
/** Milliseconds between two looks at what the kernel's filter has dropped. */
export const filterLookMs = 1_000

/**
 * The arguments of `floodFilterOpen`: what the kernel's filter lets through besides the packets of live connections.
 */
export const filterLimits = {
  /** Packets are counted in spans of 2^24 ns = 16.8 ms, of which a second has 59.6. */
  spanBits: 24,
  /** Packets of handshakes per span: 800 × 59.6 = 47,700 a second, fewer than the `synRate` that one worker answers. */
  handshakes: 800,
  /**
   * Other packets per span: 100 × 59.6 = 5,960 a second, of which the workers answer `strangerRate` each: enough for
   * the peers of a restarted server.
   */
  others: 100,
  /**
   * A tuple's SYN is remembered for its span of 2^30 ns = 1.07 s and the next. A client that got no answer sends its
   * second SYN after 1 s. The third packet of a handshake comes sooner.
   */
  retryBits: 30,
} as const
