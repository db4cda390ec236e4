import { aborted, ErrorCode, FakeTcpError } from '../errors.js'
import type { FlowId } from '../memory/flow-table.js'

/** One SYN each second, like a stock peer: its server answers every one of them. */
const retryMs = 1_000

export interface Attempt extends FlowId {
  /** 'address:port' for messages. */
  readonly target: string
  readonly timeout: number
  readonly signal?: AbortSignal
  /** Sends the SYN. */
  syn(): void
  /** Called once: with nothing when the peer answered, or with what went wrong. */
  done(error?: FakeTcpError): void
}

/** Connections we opened and nobody has answered yet. Any number of them wait at once. */
export class Handshakes {
  readonly #waiting = new Map<number, { attempt: Attempt; finish: (error?: FakeTcpError) => void }>()

  begin(attempt: Attempt): void {
    const { slot, signal, target, timeout } = attempt
    const finish = (error?: FakeTcpError) => {
      clearInterval(retry)
      clearTimeout(deadline)
      signal?.removeEventListener('abort', onAbort)
      this.#waiting.delete(slot)
      attempt.done(error)
    }
    const onAbort = () => finish(aborted(signal!))
    const retry = setInterval(() => attempt.syn(), retryMs)
    const deadline = setTimeout(
      () => finish(new FakeTcpError(ErrorCode.CONNECT_TIMEOUT, `${target} did not answer within ${timeout} ms.`)),
      timeout,
    )
    signal?.addEventListener('abort', onAbort, { once: true })
    this.#waiting.set(slot, { attempt, finish })
    attempt.syn()
  }

  /** A SYN+ACK with the right number came. False when no such attempt waits. */
  answered(flow: FlowId): boolean {
    return this.#finish(flow)
  }

  /** A RST came. False when no such attempt waits. */
  refused(flow: FlowId): boolean {
    const target = this.#waiting.get(flow.slot)?.attempt.target
    return this.#finish(
      flow,
      new FakeTcpError(
        ErrorCode.CONNECT_REFUSED,
        `${target} refused the connection: no server listens there, or its machine does not pass the port on to it (DNAT) and answers itself.`,
      ),
    )
  }

  abandonAll(error: () => FakeTcpError): void {
    for (const { finish } of [...this.#waiting.values()]) finish(error())
  }

  #finish({ slot, generation }: FlowId, error?: FakeTcpError): boolean {
    const waiting = this.#waiting.get(slot)
    if (waiting === undefined || waiting.attempt.generation !== generation) return false
    waiting.finish(error)
    return true
  }
}
