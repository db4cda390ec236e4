import type { FlowId } from '../../src/memory/flow-table.js'
import type { LaneReader } from '../../src/memory/lane.js'
import type { Span } from '../../src/memory/span.js'
import type { End } from '../../src/path/messages.js'
import type { HeldSocket, SocketHome } from '../../src/sockets/local-sockets.js'
import type { Residue } from '../../src/sockets/transfer-messages.js'

/** What a thread's sockets are to it, without a user: it takes what comes, and notes what it is told. */
export class NotingSocket implements HeldSocket {
  readonly slot: number
  readonly generation: number
  readonly home: SocketHome
  readonly localAddress: string
  /** Most bytes that it takes of a delivery. */
  room = Number.POSITIVE_INFINITY
  /** Everything that it was told, in order: 'got 100', 'flush', 'ended 1' … */
  readonly notes: string[] = []
  /** What `surrender` gives. */
  unread: Residue[] = []

  constructor(home: SocketHome, { slot, generation }: FlowId, localAddress: string) {
    this.home = home
    this.slot = slot
    this.generation = generation
    this.localAddress = localAddress
  }

  /** What was noted since the last look. */
  noted(): string[] {
    return this.notes.splice(0)
  }

  deliver(lane: LaneReader, { at, length }: Span): number {
    const taken = Math.min(length, this.room)
    this.notes.push(`got ${taken}`)
    // A real one keeps them where they lie until they are read.
    if (taken > 0) lane.release(at)
    return taken
  }

  flush(): void {
    this.notes.push('flush')
  }

  leaveLane(): void {
    this.notes.push('leaveLane')
  }

  ended(end: End): void {
    this.notes.push(`ended ${end}`)
  }

  receivedBefore(residue: readonly Residue[]): void {
    this.notes.push(`before: ${residue.map(({ bytes }) => bytes.length).join(' ')}`)
  }

  surrender(): Residue[] {
    this.notes.push('surrender')
    return this.unread
  }
}
