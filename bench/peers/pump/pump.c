// Shows what the kernel can carry from one TUN to another when the programs do nothing: the ceiling of every library
// row. It speaks no handshake. It writes data segments of one flow, and counts what comes out of the other TUN.
//
//     pump send --tun NAME --tun-local IP --tun-peer IP --remote IP:PORT [--size BYTES] [--seconds S] [--offload 0|1]
//     pump recv --tun NAME --tun-local IP --tun-peer IP --port PORT [--seconds S] [--offload 0|1]
//
// With offload it uses super-packets with a virtio-net header (TSO), without it one packet per write and per read.
// `recv` writes `ready` to stderr, and ends on SIGTERM too. `send` writes `started`. Either prints one JSON line.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/virtio_net.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { IP = 20, TCP = 20, VIRTIO = 12, MAX_PACKET = 65535, MAX_SECONDS = 120, CLOCK_EVERY = 16 };

struct options {
  const char *tun, *local, *peer, *remote;
  long size, port;
  double seconds;
  int offload;
};

static volatile sig_atomic_t stopped;
static void stop(int signal) { (void)signal, stopped = 1; }

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void die(const char *what) {
  fprintf(stderr, "pump: %s: %s\n", what, strerror(errno));
  exit(1);
}

static void put16(uint8_t *at, uint32_t v) { at[0] = (uint8_t)(v >> 8), at[1] = (uint8_t)v; }
static void put32(uint8_t *at, uint32_t v) { put16(at, v >> 16), put16(at + 2, v & 0xffff); }

static uint32_t sum(const uint8_t *at, size_t length, uint32_t initial) {
  uint64_t total = initial;
  for (size_t i = 0; i + 1 < length; i += 2) total += (uint32_t)at[i] << 8 | at[i + 1];
  if (length & 1) total += (uint32_t)at[length - 1] << 8;
  while (total >> 16) total = (total & 0xffff) + (total >> 16);
  return (uint32_t)total;
}

static void address(int control, unsigned long request, const char *name, const char *value) {
  struct ifreq ifr = {0};
  struct sockaddr_in in = {.sin_family = AF_INET};
  snprintf(ifr.ifr_name, IFNAMSIZ, "%s", name);
  if (inet_pton(AF_INET, value, &in.sin_addr) != 1) errno = EINVAL, die(value);
  memcpy(&ifr.ifr_addr, &in, sizeof in);
  if (ioctl(control, request, &ifr)) die("address");
}

static int open_tun(const struct options *o) {
  int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
  if (fd < 0) die("/dev/net/tun");
  struct ifreq ifr = {.ifr_flags = (short)(IFF_TUN | IFF_NO_PI | (o->offload ? IFF_VNET_HDR : 0))};
  snprintf(ifr.ifr_name, IFNAMSIZ, "%s", o->tun);
  if (ioctl(fd, TUNSETIFF, &ifr)) die("TUNSETIFF");
  int header = VIRTIO;
  if (o->offload && ioctl(fd, TUNSETVNETHDRSZ, &header)) die("TUNSETVNETHDRSZ");
  if (o->offload && ioctl(fd, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6)) die("TUNSETOFFLOAD");
  int control = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  address(control, SIOCSIFADDR, o->tun, o->local);
  address(control, SIOCSIFDSTADDR, o->tun, o->peer);
  ifr.ifr_flags = IFF_UP | IFF_RUNNING;
  if (ioctl(control, SIOCSIFFLAGS, &ifr)) die("SIOCSIFFLAGS");
  close(control);
  return fd;
}

static double cpu_seconds(void) {
  struct rusage u;
  getrusage(RUSAGE_SELF, &u);
  return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) + (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static void report(uint64_t datagrams, uint64_t bytes, double seconds, uint64_t calls, uint64_t errors) {
  struct rusage u;
  getrusage(RUSAGE_SELF, &u);
  printf("{\"datagrams\":%llu,\"bytes\":%llu,\"seconds\":%.6f,\"calls\":%llu,\"errors\":%llu,\"cpuSeconds\":%.3f,"
         "\"memoryMB\":%.1f}\n",
         (unsigned long long)datagrams, (unsigned long long)bytes, seconds, (unsigned long long)calls,
         (unsigned long long)errors, cpu_seconds(), (double)u.ru_maxrss / 1000);
}

static void send_all(const struct options *o) {
  static uint8_t packet[VIRTIO + MAX_PACKET];
  const char *colon = o->remote ? strrchr(o->remote, ':') : NULL;
  if (!colon || o->size < 1 || o->size > 1460) errno = EINVAL, die("--remote and --size");
  char host[64] = {0};
  snprintf(host, sizeof host, "%.*s", (int)(colon - o->remote), o->remote);
  long segments = o->offload ? (MAX_PACKET - IP - TCP) / o->size : 1;
  size_t payload = (size_t)(segments * o->size), length = IP + TCP + payload;

  uint8_t *ip = packet + VIRTIO, *tcp = ip + IP;
  ip[0] = 0x45, ip[6] = 0x40, ip[8] = 64, ip[9] = IPPROTO_TCP;
  put16(ip + 2, (uint32_t)length);
  if (inet_pton(AF_INET, o->peer, ip + 12) != 1 || inet_pton(AF_INET, host, ip + 16) != 1) errno = EINVAL, die("address");
  put16(tcp, 40000), put16(tcp + 2, (uint32_t)atoi(colon + 1));
  put32(tcp + 8, 1), tcp[12] = 0x50, tcp[13] = 0x10, put16(tcp + 14, 65535);
  for (size_t i = 0; i < payload; i++) tcp[TCP + i] = (uint8_t)(i * 7);
  uint32_t pseudo = sum(ip + 12, 8, IPPROTO_TCP + (uint32_t)(TCP + payload));
  uint32_t fixed = sum(tcp, TCP + payload, pseudo);  // seq and checksum are 0 here: added per packet
  uint32_t ip_fixed = sum(ip, IP, 0);
  struct virtio_net_hdr_v1 virtio = {
      .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
      .gso_type = segments > 1 ? VIRTIO_NET_HDR_GSO_TCPV4 : VIRTIO_NET_HDR_GSO_NONE,
      .hdr_len = IP + TCP,
      .gso_size = (uint16_t)o->size,
      .csum_start = IP,
      .csum_offset = 16,
  };
  memcpy(packet, &virtio, VIRTIO);

  int fd = open_tun(o);
  uint8_t *from = o->offload ? packet : ip;
  size_t bytes = o->offload ? VIRTIO + length : length;
  uint32_t seq = 1, id = 0;
  uint64_t calls = 0, errors = 0;
  fprintf(stderr, "started\n");
  double start = now(), end = start + o->seconds;
  for (uint64_t i = 0; !stopped && (i % CLOCK_EVERY || now() < end); i++) {
    uint8_t number[4];
    put16(ip + 4, id), put32(tcp + 4, seq), put32(number, seq);
    uint32_t ip_sum = ip_fixed + id;
    put16(ip + 10, ~((ip_sum & 0xffff) + (ip_sum >> 16)) & 0xffff);
    // With offload the kernel wants the folded, non-inverted sum of the pseudo-header here.
    put16(tcp + 16, o->offload ? pseudo : ~sum(number, 4, fixed) & 0xffff);
    if (write(fd, from, bytes) == (ssize_t)bytes) calls++;
    else errors++;
    seq += (uint32_t)payload, id = (id + (uint32_t)segments) & 0xffff;
  }
  report(calls * (uint64_t)segments, calls * payload, now() - start, calls, errors);
}

static void receive_all(const struct options *o) {
  static uint8_t packet[VIRTIO + MAX_PACKET];
  int fd = open_tun(o);
  uint64_t datagrams = 0, bytes = 0, calls = 0;
  double end = now() + o->seconds, first = 0, last = 0;
  fprintf(stderr, "ready\n");
  while (!stopped && now() < end) {
    struct pollfd ready = {.fd = fd, .events = POLLIN};
    if (poll(&ready, 1, 100) <= 0) continue;
    for (int budget = 256; budget; budget--) {
      ssize_t got = read(fd, packet, sizeof packet);
      if (got <= 0) break;
      size_t at = o->offload ? VIRTIO : 0;
      if ((size_t)got < at + IP + TCP || packet[at] != 0x45 || packet[at + 9] != IPPROTO_TCP) continue;
      if ((packet[at + IP + 2] << 8 | packet[at + IP + 3]) != o->port) continue;
      size_t payload = (size_t)got - at - IP - (size_t)(packet[at + IP + 12] >> 4) * 4;
      uint16_t segment = o->offload ? ((struct virtio_net_hdr_v1 *)packet)->gso_size : 0;
      datagrams += segment ? (payload + segment - 1) / segment : 1;
      bytes += payload, calls++;
      last = now();
      if (!first) first = last;
    }
  }
  report(datagrams, bytes, last - first, calls, 0);
}

int main(int argc, char **argv) {
  struct options o = {.tun = "pump0", .size = 1400, .seconds = 5, .offload = 1};
  for (int i = 2; i + 1 < argc; i += 2) {
    const char *value = argv[i + 1];
    if (!strcmp(argv[i], "--tun")) o.tun = value;
    else if (!strcmp(argv[i], "--tun-local")) o.local = value;
    else if (!strcmp(argv[i], "--tun-peer")) o.peer = value;
    else if (!strcmp(argv[i], "--remote")) o.remote = value;
    else if (!strcmp(argv[i], "--port")) o.port = atol(value);
    else if (!strcmp(argv[i], "--size")) o.size = atol(value);
    else if (!strcmp(argv[i], "--seconds")) o.seconds = atof(value);
    else if (!strcmp(argv[i], "--offload")) o.offload = atoi(value);
    else return fprintf(stderr, "pump: unknown option %s\n", argv[i]), 2;
  }
  int sending = argc > 1 && !strcmp(argv[1], "send");
  if (argc < 2 || (!sending && strcmp(argv[1], "recv")) || !o.local || !o.peer || o.seconds <= 0 ||
      o.seconds > MAX_SECONDS)
    return fprintf(stderr, "usage: pump send|recv --tun NAME --tun-local IP --tun-peer IP --remote IP:PORT|--port PORT …\n"), 2;
  struct sigaction action = {.sa_handler = stop};
  sigaction(SIGTERM, &action, NULL), sigaction(SIGINT, &action, NULL);
  if (sending) send_all(&o);
  else receive_all(&o);
  return 0;
}
