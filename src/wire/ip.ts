/** Protocol and next-header numbers (IANA), as IPv4 and IPv6 share them. */
export const Protocol = { icmp: 1, tcp: 6, icmp6: 58 } as const
