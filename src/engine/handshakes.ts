import { aborted, ErrorCode, FakeTcpError } from '../errors.js'
import type { FlowId } from '../memory/flow-table.js'

/** Milliseconds between two SYNs, as of a stock client. A stock server answers each of them. */
const retryMs = 1_000

export interface Attempt extends FlowId {
  /** 'address:port' for messages. */
  readonly target: string
  /** Milliseconds. */
  readonly timeout: number
  readonly signal?: AbortSignal
  /** Sends the SYN. */
  syn(): void
  /** Called once: without an error when the peer has answered, and else with what went wrong. */
  done(error?: FakeTcpError): void
}

/**
 * The connections that we opened and no peer has answered yet, any number of them. Repeats the SYN of each until the
 * peer answers or the attempt fails.
 */
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

  /** The peer sent a SYN+ACK with the right number. False when this attempt does not wait any more. */
  answered(flow: FlowId): boolean {
    return this.#finish(flow)
  }

  /** The peer sent a RST. False when this attempt does not wait any more. */
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

  /** Fails every attempt, each with an error of its own. */
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
