// UDP sender, one datagram per system call: the shape of a program that knows nothing of batches (WireGuard before GSO,
// a game, a DNS server). In C because the sender must not be the slowest part of what it measures.
//
// udp-plain --to IP:PORT [--size BYTES] [--seconds S] [--rate DATAGRAMS_PER_SECOND] [--flows N] [--warmup MS]
//
// Datagrams are those of bench/load/datagram.ts. Prints one JSON line.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { SLOTS = 256, HEADER = 8, MAX_SIZE = 65507, MAX_FLOWS = 1024, MAX_SECONDS = 120, CLOCK_EVERY = 32 };
// A paced sender wakes this often; more often costs the CPU time that the measured programs need.
static const double TICK_SECONDS = 0.0001;

static uint8_t slots[SLOTS][MAX_SIZE + 1];
static int sockets[MAX_FLOWS];
static uint32_t sequences[MAX_FLOWS];

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void stamp(uint8_t *at, uint16_t flow, uint32_t sequence) {
  uint16_t tag = (uint16_t)(sequence ^ (sequence >> 16) ^ flow ^ 0x9e37u);
  at[0] = (uint8_t)(flow >> 8), at[1] = (uint8_t)flow;
  at[2] = (uint8_t)(tag >> 8), at[3] = (uint8_t)tag;
  at[4] = (uint8_t)(sequence >> 24), at[5] = (uint8_t)(sequence >> 16);
  at[6] = (uint8_t)(sequence >> 8), at[7] = (uint8_t)sequence;
}

static int fail(const char *what) {
  fprintf(stderr, "udp-plain: %s: %s\n", what, strerror(errno));
  return 1;
}

int main(int argc, char **argv) {
  const char *to = NULL;
  long size = 1400, flows = 1;
  double seconds = 5, rate = 0, warmup = 0;
  for (int i = 1; i + 1 < argc; i += 2) {
    const char *value = argv[i + 1];
    if (!strcmp(argv[i], "--to")) to = value;
    else if (!strcmp(argv[i], "--size")) size = atol(value);
    else if (!strcmp(argv[i], "--seconds")) seconds = atof(value);
    else if (!strcmp(argv[i], "--rate")) rate = atof(value);
    else if (!strcmp(argv[i], "--flows")) flows = atol(value);
    else if (!strcmp(argv[i], "--warmup")) warmup = atof(value);
    else return fprintf(stderr, "udp-plain: unknown option %s\n", argv[i]), 2;
  }
  const char *colon = to ? strrchr(to, ':') : NULL;
  if (!colon || size < HEADER || size > MAX_SIZE || flows < 1 || flows > MAX_FLOWS || seconds <= 0 ||
      seconds > MAX_SECONDS || rate < 0)
    return fprintf(stderr, "usage: udp-plain --to IPV4:PORT [--size 8..%d] [--seconds 0..%d] [--rate N] [--flows 1..%d]\n",
                   MAX_SIZE, MAX_SECONDS, MAX_FLOWS), 2;
  struct sockaddr_in peer = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(colon + 1))};
  char host[64] = {0};
  snprintf(host, sizeof host, "%.*s", (int)(colon - to), to);
  if (inet_pton(AF_INET, host, &peer.sin_addr) != 1) return fprintf(stderr, "udp-plain: bad address %s\n", host), 2;

  prctl(PR_SET_TIMERSLACK, 1000UL);
  for (long slot = 0; slot < SLOTS; slot++)
    for (long i = HEADER; i < size; i++) slots[slot][i] = (uint8_t)(i * 7 + slot * 13 + (i >> 8));
  for (long f = 0; f < flows; f++) {
    sockets[f] = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (sockets[f] < 0 || connect(sockets[f], (struct sockaddr *)&peer, sizeof peer)) return fail("socket");
    if (warmup <= 0) continue;
    stamp(slots[SLOTS - 1], (uint16_t)f, UINT32_MAX);
    (void)!send(sockets[f], slots[SLOTS - 1], (size_t)size, 0);
  }
  if (warmup > 0) usleep((useconds_t)(warmup * 1000));

  uint64_t sent = 0, errors = 0, attempts = 0;
  double start = now(), end = start + seconds, time = start;
  while (time < end) {
    uint64_t due = rate > 0 ? (uint64_t)((time - start) * rate) : attempts + CLOCK_EVERY;
    for (; attempts < due; attempts++) {
      long flow = (long)(attempts % (uint64_t)flows);
      uint32_t sequence = sequences[flow]++;
      uint8_t *datagram = slots[sequence % SLOTS];
      stamp(datagram, (uint16_t)flow, sequence);
      if (send(sockets[flow], datagram, (size_t)size, 0) == size) sent++;
      else errors++;
      if (attempts % CLOCK_EVERY == 0 && now() >= end) break;
    }
    if (rate > 0) {
      struct timespec pause = {0, (long)(TICK_SECONDS * 1e9)};
      nanosleep(&pause, NULL);
    }
    time = now();
  }
  struct rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  double cpu = (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
               (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
  printf("{\"datagrams\":%llu,\"bytes\":%llu,\"seconds\":%.6f,\"errors\":%llu,\"cpuSeconds\":%.3f}\n",
         (unsigned long long)sent, (unsigned long long)(sent * (uint64_t)size), now() - start,
         (unsigned long long)errors, cpu);
  return 0;
}
