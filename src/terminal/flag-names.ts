/** Options of the library, as its errors and warnings name them, and the flags that set them here. */
const flags: Readonly<Record<string, string>> = {
  'tun.hostAddress6': '--tun-local6',
  'tun.stackAddress6': '--tun-peer6',
  'tun.hostAddress': '--tun-local',
  'tun.stackAddress': '--tun-peer',
  'tun.descriptors': '--tun-fd',
  'tun.offload is off': '--no-offload was given',
  'tun.queues': '--queues',
  'tun.name': '--tun',
  'tun.mtu': '--mtu',
  'a smaller maxConnections or ringBytes': 'a smaller --max-flows',
  maxConnections: '--max-flows',
  'keepalive.interval': '--keepalive',
  coalesceUs: '--coalesce-us',
}

const names = new RegExp(
  Object.keys(flags)
    .map(name => name.replaceAll('.', '\\.'))
    .join('|'),
  'gu',
)

/** The same sentence in the words of whoever typed the command: flags instead of options. */
export const inFlags = (sentence: string): string => sentence.replaceAll(names, name => flags[name])
