/**
 * What the fuzzer feeds to a queue, and its text form, one step per line:
 *
 *     virtio 10
 *     packet 0000…      bytes from the wire, virtio-net header included
 *     wait 500          milliseconds
 *     answer 0102       the packet that completes the last handshake that was offered to somebody, with this payload
 */
import type { VirtioSize } from '../support/packets.js'

export type Step =
  | { readonly kind: 'packet' | 'answer'; readonly bytes: readonly number[] }
  | { readonly kind: 'wait'; readonly ms: number }

export interface Input {
  readonly virtioSize: VirtioSize
  readonly steps: readonly Step[]
}

const hex = (bytes: readonly number[]): string => Buffer.from(bytes).toString('hex')

export const format = ({ virtioSize, steps }: Input): string =>
  [
    `virtio ${virtioSize}`,
    ...steps.map(step => (step.kind === 'wait' ? `wait ${step.ms}` : `${step.kind} ${hex(step.bytes)}`)),
    '',
  ].join('\n')

/** Throws on a line that is none of these. */
export const parse = (text: string): Input => {
  let virtioSize: VirtioSize = 0
  const steps: Step[] = []
  for (const line of text.split('\n').filter(line => line !== '' && !line.startsWith('#'))) {
    const [kind, value = ''] = line.split(' ')
    if (kind === 'virtio' && ['0', '10', '12'].includes(value)) virtioSize = Number(value) as VirtioSize
    else if (kind === 'packet' || kind === 'answer') steps.push({ kind, bytes: [...Buffer.from(value, 'hex')] })
    else if (kind === 'wait') steps.push({ kind, ms: Number(value) })
    else throw new Error(`not a step: ${line}`)
  }
  return { virtioSize, steps }
}
