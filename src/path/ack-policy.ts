/**
 * When this stack acknowledges (docs/protocol.md, "Acks"). Nothing is retransmitted, so acks serve others: a stock
 * peer's window, conntrack on the path, and a peer that asks whether we live. Each costs a packet, and one of its own
 * wakes a thread at the other end.
 *
 * | what leaves | its ack number |
 * |---|---|
 * | data | the last one that was sent, until it is `stepBytes` or `stepMs` behind: equal headers let the far end merge segments (GRO) |
 * | a bare ACK, at once | for a new flow every `earlyBytes`; else every `everyBytes`, but not sooner than `pauseMs` after the last one; after `limitBytes` in any case |
 * | a bare ACK, late | `delayMs` after the last one, if data came since (`AckSchedule`) |
 * | an answer to a probe or to a wrong RST | at once, at most one per flow in `challengeMs` (`Challenges`) |
 */

/** Data moves the ack number at most once per so many bytes or milliseconds. */
const stepBytes = 32 * 1024
const stepMs = 250

/**
 * Until a server has sent a packet that is no SYN+ACK, conntrack takes its window for 64 KiB, without the scale, and
 * drops what lies beyond. So a flow that only receives acknowledges its first `everyBytes` in small steps. (Measured:
 * else half of a one-way flow's first second was lost behind a strict NAT.)
 */
const earlyBytes = 32 * 1024
const everyBytes = 1024 * 1024
/** Milliseconds between two bare ACKs of a fast flow. */
const pauseMs = 10
/** A stock peer's window is 1 GiB: this is well within. */
const limitBytes = 16 * 1024 * 1024

/** Milliseconds that data may wait for its ACK: well within conntrack's timer of 300 s. */
export const delayMs = 1_000

/** Milliseconds between two challenge ACKs of one flow (RFC 5961 §7 asks for a limit). */
export const challengeMs = 500

/**
 * Whether data may carry the ack number that was sent before, which is `behind` bytes old and was sent `waited`
 * milliseconds ago.
 */
export const ackMayStay = (behind: number, waited: number): boolean => behind < stepBytes && waited < stepMs

/**
 * Whether a bare ACK leaves at once: for `owed` bytes of the `received` that the flow ever got, `waited` milliseconds
 * after the last ACK.
 */
export const ackIsDue = (owed: number, received: number, waited: number): boolean =>
  owed >= limitBytes || (owed >= everyBytes && waited >= pauseMs) || (owed >= earlyBytes && received <= everyBytes)
