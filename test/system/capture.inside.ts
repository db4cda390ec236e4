/** What goes over the wire, judged by tshark: valid checksums, nothing malformed, and the headers that docs/protocol.md promises. */
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { stopAll } from '../../src/lab/child.js'
import { createNetwork } from '../../src/lab/network.js'
import { Capture, type Packet } from '../support/capture.js'
import { type Family, type Kind, phantun, ports, stackOfB, startClient, startServer } from '../support/programs.js'
import { exchange, randomDatagrams, startService, UdpSource } from '../support/udp-source.js'

const network = await createNetwork('plain')
t.teardown(() => network.close().finally(() => stopAll()))
// Checksums and segments are finished before the wire and nothing is merged behind it: a capture shows what a cable would carry.
network.a.command(['ethtool', '-K', network.vethA, 'tx', 'off', 'tso', 'off', 'gso', 'off'])
network.b.command(['ethtool', '-K', network.vethB, 'tx', 'off', 'tso', 'off', 'gso', 'off', 'gro', 'off'])
const folder = mkdtempSync(join(tmpdir(), 'fake-tcp-'))
t.teardown(() => rmSync(folder, { recursive: true }))

const Flags = { syn: '0x0002', synAck: '0x0012', ack: '0x0010', rst: '0x0004' } as const
const toServer = (packet: Packet): boolean => packet['tcp.dstport'] === String(ports.server)
const isData = (packet: Packet): boolean => packet['tcp.flags'] === Flags.ack && packet['tcp.len'] !== '0'

/** Headers that every packet of ours has after one hop. */
const judgeHeaders = (t: Test, packets: readonly Packet[], family: Family): void => {
  const seen = (field: keyof Packet): string[] => [...new Set(packets.map(packet => packet[field]))].sort()
  t.same(seen('tcp.window_size_value'), ['65535'], 'window')
  t.same(seen('tcp.urgent_pointer'), ['0'], 'urgent pointer')
  if (family === 4) {
    t.same(seen('ip.ttl'), ['63'], 'TTL 64, less one hop')
    t.same(seen('ip.flags'), ['0x02'], "Don't Fragment, and nothing else")
    t.same(seen('ip.hdr_len'), ['20'], 'no IP options')
    t.same(seen('ip.dsfield'), ['0x00'], 'TOS')
  } else {
    t.same(seen('ipv6.hlim'), ['63'], 'hop limit 64, less one hop')
    t.same(seen('ipv6.nxt'), ['6'], 'no extension headers')
  }
}

const judgeHandshake = (t: Test, packets: readonly Packet[], client: Kind, server: Kind): void => {
  const [syn, synAck, ack] = packets
  if (client === 'ours') {
    t.match(syn, { 'tcp.flags': Flags.syn, 'tcp.seq_raw': '0', 'tcp.ack_raw': '0', 'tcp.len': '0' }, 'SYN')
    t.match(syn, { 'tcp.options': '0103030e', 'tcp.hdr_len': '24' }, "SYN's options")
    const next = String((Number(synAck['tcp.seq_raw']) + 1) >>> 0)
    t.match(ack, { 'tcp.flags': Flags.ack, 'tcp.seq_raw': '1', 'tcp.ack_raw': next, 'tcp.len': '0' }, 'ACK')
    t.match(ack, { 'tcp.options': '', 'tcp.hdr_len': '20' }, 'no options in ACK')
  }
  if (server === 'ours') {
    t.match(synAck, { 'tcp.flags': Flags.synAck, 'tcp.ack_raw': '1', 'tcp.len': '0' }, 'SYN+ACK')
    t.match(synAck, { 'tcp.options': '0103030e', 'tcp.hdr_len': '24' }, "SYN+ACK's options")
  }
}

/** One direction of one connection after its handshake, sent by us. */
const judgeData = (t: Test, packets: readonly Packet[], first: number, what: string): void => {
  const data = packets.filter(isData)
  let next = first
  let ack = -1
  let gaps = 0
  let backwards = 0
  for (const packet of data) {
    if (Number(packet['tcp.seq_raw']) !== next) gaps++
    next = (Number(packet['tcp.seq_raw']) + Number(packet['tcp.len'])) >>> 0
    const distance = ack < 0 ? 0 : (Number(packet['tcp.ack_raw']) - ack) | 0
    if (distance < 0) backwards++
    ack = Number(packet['tcp.ack_raw'])
  }
  t.ok(data.length > 1_000, `${what}: ${data.length} data segments`)
  t.equal(gaps, 0, `${what}: each begins where the last one ended`)
  t.equal(backwards, 0, `${what}: the ack number never goes back`)
  t.same([...new Set(data.map(packet => packet['tcp.hdr_len']))], ['20'], `${what}: no options`)
  const odd = packets.filter(({ 'tcp.flags': flags }) => !Object.values<string>(Flags).includes(flags))
  t.same(odd, [], `${what}: no other flags`)
}

interface Session {
  name: string
  client: Kind
  server: Kind
  family: Family
  flags?: string[]
}

const sessions: readonly Session[] = [
  { name: 'ours, super-packets', client: 'ours', server: 'ours', family: 4 },
  { name: 'ours, super-packets', client: 'ours', server: 'ours', family: 6 },
  { name: 'ours, no offload', client: 'ours', server: 'ours', family: 4, flags: ['--no-offload'] },
  { name: 'ours, no offload', client: 'ours', server: 'ours', family: 6, flags: ['--no-offload'] },
  { name: 'our client, phantun server', client: 'ours', server: 'phantun', family: 4 },
  { name: 'phantun client, our server', client: 'phantun', server: 'ours', family: 4 },
]
const noPhantun = existsSync(phantun.client) ? false : 'phantun is not built: run node bench/peers/install.mjs'

for (const { name, client: clientKind, server: serverKind, family, flags = [] } of sessions) {
  const stock = clientKind === 'phantun' || serverKind === 'phantun'
  t.test(`${name}, IPv${family}`, { skip: stock && noPhantun }, async t => {
    const capture = await Capture.start(network.b, network.vethB, join(folder, 'session.pcap'))
    const service = await startService(t, network.b, 4)
    const server = await startServer(t, network.b, { kind: serverKind, flags })
    const remote = `${stackOfB[family]}:${ports.server}`
    const client = await startClient(t, network.a, { kind: clientKind, remote, flags })
    const programs = [client, server, service]
    const source = await UdpSource.open(t)
    t.equal(await exchange([source], [randomDatagrams([100])], 1), undefined, 'first datagram')
    const sizes = Array.from({ length: 1_425 }, (_, i) => 16 + i)
    t.equal(await exchange([source], [randomDatagrams(sizes)], 16, stock), undefined, 'every size')
    t.equal(await exchange([source], [randomDatagrams(Array(800).fill(1_400))], 64, stock), undefined, 'super-packets')
    // A stock program says nothing when it ends: end ours first, that the capture has its RST.
    for (const child of clientKind === 'ours' ? programs : [server, client, service]) await child.stop()
    t.equal(await capture.stop(), 0, 'nothing was missed')

    // The kernel writes 0xffff for 0 (CSUM_MANGLED_0), which is the same number in ones' complement, and which tshark calls bad.
    const bad = '(tcp.checksum.status == "Bad" && tcp.checksum != 0xffff) || ip.checksum.status == "Bad"'
    t.same(
      await capture.filtered(`${bad} || _ws.malformed || icmp || icmpv6.type < 128`),
      [],
      'bad, malformed or refused',
    )
    const packets = await capture.packets()
    const good = await capture.filtered('tcp.checksum.status == "Good" || tcp.checksum == 0xffff')
    t.equal(good.length, packets.length, `${packets.length} valid checksums`)

    const [, synAck] = packets
    const up = packets.filter(toServer)
    const down = packets.filter(packet => !toServer(packet))
    judgeHandshake(t, packets, clientKind, serverKind)
    if (clientKind === 'ours') {
      judgeHeaders(t, up, family)
      judgeData(t, up, 1, 'client')
    }
    if (serverKind === 'ours') {
      judgeHeaders(t, down, family)
      judgeData(t, down, (Number(synAck['tcp.seq_raw']) + 1) >>> 0, 'server')
    }
    const [ended, other] = clientKind === 'ours' ? [up, down] : [down, up]
    const [ack, rst] = ended.slice(-2)
    const last = ended.findLast(isData)!
    const next = String((Number(last['tcp.seq_raw']) + Number(last['tcp.len'])) >>> 0)
    t.match(ack, { 'tcp.flags': Flags.ack, 'tcp.len': '0', 'tcp.seq_raw': next }, 'an ACK before the end')
    t.match(rst, { 'tcp.flags': Flags.rst, 'tcp.len': '0', 'tcp.seq_raw': next, 'tcp.ack_raw': '0' }, 'RST')
    // A stock program says goodbye to who has just said goodbye.
    if (!stock) t.equal(other.filter(packet => packet['tcp.flags'] === Flags.rst).length, 0, 'and no RST in answer')
  })
}
