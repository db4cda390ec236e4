/**
 * When this stack acknowledges (docs/protocol.md, "Acks"). Nobody retransmits, so a sender needs no ACK for that. Three
 * others need them: the window of a stock peer, conntrack on the path, and a peer that probes whether we are alive. A
 * bare ACK costs a packet, and wakes a thread at the other end.
 *
 * | what is sent | its ack number, or when |
 * |---|---|
 * | data | the number that was sent last, until it is `stepBytes` or `stepMs` old; then the newest. Segments with equal numbers can be merged at the far end (GRO) |
 * | a bare ACK, at once | every `earlyBytes` during the first `everyBytes` of a flow. Later every `everyBytes`, but not within `pauseMs` of the last ACK, or after `limitBytes` in any case |
 * | a bare ACK, late | `delayMs` after the last ACK, if data came since (`AckSchedule`) |
 * | an answer to a probe, a SYN or a RST with a wrong number | at once, but at most one per flow in `challengeMs` (`Challenges`) |
 */

/** Data carries a newer number once the last one is this many bytes or milliseconds old. */
const stepBytes = 32 * 1024
const stepMs = 250

/**
 * conntrack ignores the window scale of a server until the server sends a packet after its SYN+ACK. Until then it takes
 * the server's window for 64 KiB, and calls what the client sends beyond that invalid. So a flow acknowledges its first
 * `everyBytes` in small steps. (Measured without that: a strict NAT dropped half of a one-way flow's first second.)
 */
const earlyBytes = 32 * 1024
const everyBytes = 1024 * 1024
/** Minimum of milliseconds between two bare ACKs of a fast flow. */
const pauseMs = 10
/** The window of a stock peer is 1 GiB, far more than this. */
const limitBytes = 16 * 1024 * 1024

/** Milliseconds that data may wait for its ACK. conntrack's timer for unacknowledged data is 300 s. */
export const delayMs = 1_000

/** Minimum of milliseconds between two challenge ACKs of one flow (RFC 5961 §7 asks for a limit). */
export const challengeMs = 500

/**
 * Whether data may carry the ack number that was sent last. `behind`: bytes between it and the newest number. `waited`:
 * milliseconds since it was sent.
 */
export const ackMayStay = (behind: number, waited: number): boolean => behind < stepBytes && waited < stepMs

/**
 * Whether a bare ACK is sent at once. `owed`: bytes received and not acknowledged. `received`: bytes that the flow has
 * ever received. `waited`: milliseconds since the last ACK.
 */
export const ackIsDue = (owed: number, received: number, waited: number): boolean =>
  owed >= limitBytes || (owed >= everyBytes && waited >= pauseMs) || (owed >= earlyBytes && received <= everyBytes)
