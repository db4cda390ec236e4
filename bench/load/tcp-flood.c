// Sends raw TCP segments, as an attacker off the path would: with forged sources, or with the addresses of a live
// connection and without its numbers.
//
//     tcp-flood --to IP:PORT --kind syn [--rate PER_SECOND] [--seconds S]
//     tcp-flood --to IP:PORT --kind stray [--rate PER_SECOND] [--seconds S]
//     tcp-flood --to IP:PORT --kind blind --from IP:PORT --count N [--rate …]
//
// `syn` sends SYNs from random hosts of 198.18.0.0/15. `stray` sends ACK, data, RST, FIN and SYN|ACK from there.
// `blind` sends RST, RST|ACK, data, SYN, SYN|ACK, FIN and ICMP "too big" with random numbers.
//
// Rate 0 is as fast as possible. It needs CAP_NET_RAW, and is meant for network namespaces of its own. It prints one
// JSON line.
#define _GNU_SOURCE
#include "load.h"
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <unistd.h>

enum { BATCH = 64, PAYLOAD = 64, LONGEST = 40 + PAYLOAD };
enum { ICMP_HEADER = 8, SHORT_QUOTE = 28, LONG_QUOTE = 40 };
enum { FIN = 1, SYN = 2, RST = 4, ACK = 16 };

static uint8_t packets[BATCH][LONGEST];
static struct iovec pieces[BATCH];
static struct mmsghdr messages[BATCH];

static uint32_t state[2] = {0x9e3779b9u, 0x2545f491u};
static uint32_t random32(void) {  // xorshift64*
  uint64_t x = (uint64_t)state[0] << 32 | state[1];
  x ^= x >> 12, x ^= x << 25, x ^= x >> 27;
  state[0] = (uint32_t)(x >> 32), state[1] = (uint32_t)x;
  return (uint32_t)((x * 0x2545f4914f6cdd1dULL) >> 32);
}

static uint32_t sum(const uint8_t *at, size_t length, uint32_t total) {
  for (size_t i = 0; i + 1 < length; i += 2) total += (uint32_t)(at[i] << 8 | at[i + 1]);
  return total;
}

static uint16_t finish(uint32_t total) {
  while (total >> 16) total = (total & 0xffff) + (total >> 16);
  return htons((uint16_t)~total);
}

// Writes an IPv4 and a TCP header and a payload of zeros. Answers the length in bytes.
static size_t build(uint8_t *packet, struct sockaddr_in from, struct sockaddr_in to, uint8_t flags, uint32_t seq, uint32_t ack,
                    size_t payload) {
  size_t length = 40 + payload;
  struct iphdr ip = {.version = 4, .ihl = 5, .tot_len = htons((uint16_t)length), .ttl = 64, .protocol = IPPROTO_TCP};
  ip.frag_off = htons(0x4000), ip.saddr = from.sin_addr.s_addr, ip.daddr = to.sin_addr.s_addr;
  ip.check = finish(sum((uint8_t *)&ip, sizeof ip, 0));
  struct tcphdr tcp = {.source = from.sin_port, .dest = to.sin_port, .seq = htonl(seq), .ack_seq = htonl(ack), .doff = 5};
  ((uint8_t *)&tcp)[13] = flags;
  tcp.window = 0xffff;
  uint32_t pseudo = sum((uint8_t *)&ip.saddr, 8, IPPROTO_TCP + 20 + (uint32_t)payload);
  tcp.check = finish(sum((uint8_t *)&tcp, sizeof tcp, pseudo));
  memcpy(packet, &ip, sizeof ip);
  memcpy(packet + 20, &tcp, sizeof tcp);
  memset(packet + 40, 0, payload);
  return length;
}

static struct sockaddr_in anybody(void) {
  struct sockaddr_in from = {.sin_family = AF_INET, .sin_port = htons((uint16_t)(1024 + random32() % 64000))};
  from.sin_addr.s_addr = htonl(0xc6120000u | (random32() & 0x1ffff));
  return from;
}

static size_t syn(uint8_t *packet, struct sockaddr_in to) { return build(packet, anybody(), to, SYN, 0, 0, 0); }

static size_t stray(uint8_t *packet, struct sockaddr_in to) {
  static const uint8_t kinds[] = {ACK, ACK, RST, FIN | ACK, SYN | ACK};
  uint32_t kind = random32() % sizeof kinds;
  return build(packet, anybody(), to, kinds[kind], random32(), random32(), kind == 0 ? PAYLOAD : 0);
}

// A router in 198.18.0.0/15 tells `to` that a packet of its connection to `from` was too big. Every second message
// quotes the minimum only.
static size_t too_big(uint8_t *packet, struct sockaddr_in from, struct sockaddr_in to) {
  uint8_t quote[LONGEST];
  build(quote, to, from, ACK, random32(), random32(), 0);
  struct iphdr quoted;
  memcpy(&quoted, quote, sizeof quoted);
  quoted.id = (uint16_t)random32(), quoted.tot_len = htons(1500), quoted.check = 0;
  quoted.check = finish(sum((uint8_t *)&quoted, sizeof quoted, 0));
  memcpy(quote, &quoted, sizeof quoted);
  size_t length = random32() & 1 ? SHORT_QUOTE : LONG_QUOTE;
  uint16_t total = (uint16_t)(20 + ICMP_HEADER + length);
  struct iphdr ip = {.version = 4, .ihl = 5, .tot_len = htons(total), .ttl = 64, .protocol = IPPROTO_ICMP};
  ip.saddr = anybody().sin_addr.s_addr, ip.daddr = to.sin_addr.s_addr;
  ip.check = finish(sum((uint8_t *)&ip, sizeof ip, 0));
  uint8_t icmp[ICMP_HEADER] = {3, 4, 0, 0, 0, 0, 600 >> 8, 600 & 0xff};
  uint16_t check = finish(sum(quote, length, sum(icmp, sizeof icmp, 0)));
  memcpy(icmp + 2, &check, sizeof check);
  memcpy(packet, &ip, sizeof ip);
  memcpy(packet + 20, icmp, sizeof icmp);
  memcpy(packet + 20 + ICMP_HEADER, quote, length);
  return total;
}

static size_t blind(uint8_t *packet, struct sockaddr_in from, struct sockaddr_in to) {
  static const uint8_t kinds[] = {RST, RST | ACK, ACK, SYN, SYN | ACK, FIN | ACK, 0};
  uint8_t flags = kinds[random32() % sizeof kinds];
  if (flags == 0) return too_big(packet, from, to);
  return build(packet, from, to, flags, random32(), random32(), flags == ACK ? PAYLOAD : 0);
}

int main(int argc, char **argv) {
  const char *kind = option(argc, argv, "--kind");
  int is_blind = kind && !strcmp(kind, "blind"), is_stray = kind && !strcmp(kind, "stray");
  struct sockaddr_in to = endpoint(option(argc, argv, "--to"));
  struct sockaddr_in from = is_blind ? endpoint(option(argc, argv, "--from")) : to;
  double rate = number(argc, argv, "--rate", 0, 0, 1e9);
  double seconds = number(argc, argv, "--seconds", is_blind ? MAX_SECONDS : 5, 0.01, MAX_SECONDS);
  double count = number(argc, argv, "--count", 1e12, 1, 1e12);
  int fd = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW);
  if (fd < 0) die("raw socket");
  struct sockaddr_in where = to;
  where.sin_port = 0;
  for (int i = 0; i < BATCH; i++) {
    pieces[i].iov_base = packets[i];
    messages[i].msg_hdr = (struct msghdr){.msg_name = &where, .msg_namelen = sizeof where, .msg_iov = &pieces[i], .msg_iovlen = 1};
  }
  state[1] ^= (uint32_t)getpid();
  double start = now(), end = start + seconds;
  uint64_t sent = 0, refused = 0;
  while (now() < end && (double)sent < count) {
    double due = rate > 0 ? (now() - start) * rate : 1e18;
    for (int burst = 0; burst < 16 && (double)(sent + refused) < due && (double)sent < count; burst++) {
      for (int i = 0; i < BATCH; i++)
        pieces[i].iov_len = is_blind ? blind(packets[i], from, to) : is_stray ? stray(packets[i], to) : syn(packets[i], to);
      int done = sendmmsg(fd, messages, BATCH, 0);
      if (done > 0) sent += (uint64_t)done;
      else refused += BATCH;
    }
    if (rate > 0) pause_seconds(0.0002);
  }
  printf("{\"sent\":%llu,\"refused\":%llu,\"seconds\":%.3f}\n", (unsigned long long)sent, (unsigned long long)refused, now() - start);
  return 0;
}
