import { Flag } from '../../src/wire/tcp.js'

/** Printable flags, in bit order: 'SYN|ACK', 'PSH|ACK'; 'none' for 0. */
export const flagNames = (flags: number): string => {
  const names: string[] = []
  for (const [name, bit] of Object.entries(Flag)) if ((flags & bit) !== 0) names.push(name.toUpperCase())
  return names.length === 0 ? 'none' : names.join('|')
}
