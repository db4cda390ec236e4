// UDP sender with one datagram per system call, as programs do that know nothing of batches (WireGuard before GSO, a
// game, a DNS server). It is in C because the sender must not be the slowest part of what it measures.
//
//     udp-plain --to IP:PORT [--size BYTES] [--flows N] [--first FLOW] [--warmup MS] [--seconds S] [--rate PER_SECOND]
//     udp-plain --to IP:PORT … --steps 1
//
// It writes `started` to stderr once its flows are open. With `--steps` it then sends over the same flows each time a
// line `RATE SECONDS` comes on stdin, until stdin ends. Datagrams are those of bench/load/datagram.ts. Rate 0 is as
// fast as possible. It prints one JSON line per step.
#define _GNU_SOURCE
#include "load.h"
#include <sys/prctl.h>
#include <unistd.h>

enum { CLOCK_EVERY = 32, WARMUP_BURST = 16 };
// Interval in which a paced sender wakes. A shorter one takes CPU time that the measured programs need.
static const double TICK_SECONDS = 0.0001;
// Flows open one after the other with this pause, in seconds, since opening thousands at once is measured elsewhere.
static const double WARMUP_PAUSE = 0.004;

static uint8_t slots[SLOTS][MAX_SIZE + 1];
static int sockets[MAX_FLOWS];
static uint32_t sequences[MAX_FLOWS];
static uint64_t turn;
static size_t size;
static long flows;
static long first;

static void open_flows(struct sockaddr_in to, double warmup) {
  for (long f = 0; f < flows; f++) {
    sockets[f] = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (sockets[f] < 0 || connect(sockets[f], (struct sockaddr *)&to, sizeof to)) die("socket");
    if (warmup <= 0) continue;
    stamp(slots[SLOTS - 1], (uint16_t)(first + f), WARMUP);
    (void)!send(sockets[f], slots[SLOTS - 1], size, 0);
    if (f % WARMUP_BURST == WARMUP_BURST - 1) pause_seconds(WARMUP_PAUSE);
  }
  pause_seconds(warmup / 1000);
}

static void step(double rate, double seconds) {
  uint64_t sent = 0, errors = 0, attempts = 0;
  double cpu = cpu_seconds(), start = now(), end = start + seconds, time = start;
  while (time < end) {
    uint64_t due = rate > 0 ? (uint64_t)((time - start) * rate) : attempts + CLOCK_EVERY;
    for (; attempts < due; attempts++) {
      long flow = (long)(turn++ % (uint64_t)flows);
      uint32_t sequence = sequences[flow]++;
      uint8_t *datagram = slots[sequence % SLOTS];
      stamp(datagram, (uint16_t)(first + flow), sequence);
      if (send(sockets[flow], datagram, size, 0) == (ssize_t)size) sent++;
      else errors++;
      if (attempts % CLOCK_EVERY == 0 && now() >= end) break;
    }
    if (rate > 0) pause_seconds(TICK_SECONDS);
    time = now();
  }
  printf("{\"datagrams\":%llu,\"bytes\":%llu,\"seconds\":%.6f,\"errors\":%llu,\"cpuSeconds\":%.3f}\n",
         (unsigned long long)sent, (unsigned long long)(sent * size), now() - start, (unsigned long long)errors,
         cpu_seconds() - cpu);
  fflush(stdout);
}

int main(int argc, char **argv) {
  size = (size_t)number(argc, argv, "--size", 1400, HEADER, MAX_SIZE);
  flows = (long)number(argc, argv, "--flows", 1, 1, MAX_FLOWS);
  first = (long)number(argc, argv, "--first", 0, 0, MAX_FLOWS - 1);
  double seconds = number(argc, argv, "--seconds", 5, 0.01, MAX_SECONDS);
  double rate = number(argc, argv, "--rate", 0, 0, 1e9);
  prctl(PR_SET_TIMERSLACK, 1000UL);
  for (size_t slot = 0; slot < SLOTS; slot++) fill(slots[slot], slot, size);
  open_flows(endpoint(option(argc, argv, "--to")), number(argc, argv, "--warmup", 0, 0, 10000));
  fprintf(stderr, "started\n");
  if (number(argc, argv, "--steps", 0, 0, 1) == 0) return step(rate, seconds), 0;
  alarm(MAX_SECONDS);
  char line[64];
  while (fgets(line, sizeof line, stdin))
    if (sscanf(line, "%lf %lf", &rate, &seconds) == 2 && rate >= 0 && seconds > 0 && seconds <= MAX_SECONDS)
      step(rate, seconds);
  return 0;
}
