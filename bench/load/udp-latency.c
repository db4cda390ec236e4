// Measures round-trip times over UDP.
//
//     udp-latency --echo IP:PORT                        sends back whatever comes, until SIGTERM
//     udp-latency --to IP:PORT [--size BYTES] [--rate N] [--warmup MS] [--seconds S]
//
// It sends on schedule whether answers come or not, so a stall shows in every datagram that it delays. Datagrams of the
// warm-up have the same rate and are not counted. It prints one JSON line, with times in microseconds.
#define _GNU_SOURCE
#include "load.h"
#include <poll.h>
#include <sys/prctl.h>
#include <unistd.h>

enum { STAMP = HEADER, LEAST = STAMP + 8, MAX_SAMPLES = 4 << 20 };
static const double DRAIN = 0.3;
// The first datagram opens the connection. The others wait this many seconds for that.
static const double OPENING = 0.5;

static uint8_t datagram[MAX_SIZE + 1], answer[MAX_SIZE + 1];
static float samples[MAX_SAMPLES];
static size_t taken;
static uint64_t reordered;

static void echo(struct sockaddr_in at) {
  int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0 || bind(fd, (struct sockaddr *)&at, sizeof at)) die("bind");
  fprintf(stderr, "ready\n");
  alarm(MAX_SECONDS);
  for (;;) {
    struct sockaddr_in from;
    socklen_t length = sizeof from;
    ssize_t got = recvfrom(fd, answer, sizeof answer, 0, (struct sockaddr *)&from, &length);
    if (got > 0) (void)!sendto(fd, answer, (size_t)got, 0, (struct sockaddr *)&from, length);
  }
}

static void drain(int fd, uint32_t *next) {
  for (;;) {
    ssize_t got = recv(fd, answer, sizeof answer, MSG_DONTWAIT);
    if (got < 0) return;
    int64_t sequence = sequence_at(answer, (size_t)got);
    if (got < LEAST || sequence < 0 || sequence == WARMUP) continue;
    double sent;
    memcpy(&sent, answer + STAMP, sizeof sent);
    if (taken < MAX_SAMPLES) samples[taken++] = (float)((now() - sent) * 1e6);
    if (sequence < *next) reordered++;
    else *next = (uint32_t)sequence + 1;
  }
}

static int ascending(const void *a, const void *b) {
  float x = *(const float *)a, y = *(const float *)b;
  return (x > y) - (x < y);
}

static double quantile(double q) { return taken ? samples[(size_t)(q * (double)(taken - 1) + 0.5)] : 0; }

int main(int argc, char **argv) {
  prctl(PR_SET_TIMERSLACK, 1000UL);
  if (option(argc, argv, "--echo")) return echo(endpoint(option(argc, argv, "--echo"))), 0;
  struct sockaddr_in to = endpoint(option(argc, argv, "--to"));
  size_t size = (size_t)number(argc, argv, "--size", 1400, LEAST, MAX_SIZE);
  double rate = number(argc, argv, "--rate", 1000, 1, 100000);
  double warmup = number(argc, argv, "--warmup", 1000, 0, 60000) / 1000;
  double seconds = number(argc, argv, "--seconds", 5, 0.01, MAX_SECONDS);
  int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof to)) die("socket");
  fill(datagram, 0, size);

  stamp(datagram, 0, WARMUP);
  (void)!send(fd, datagram, size, 0);
  pause_seconds(OPENING);
  double start = now(), measured = start + warmup, end = measured + seconds;
  uint64_t due = 0, sent = 0;
  uint32_t next = 0;
  for (double time = start; time < end + DRAIN; time = now()) {
    double when = start + (double)due / rate;
    if (time >= when && time < end) {
      stamp(datagram, 0, time < measured ? WARMUP : (uint32_t)sent++);
      double at = now();
      memcpy(datagram + STAMP, &at, sizeof at);
      (void)!send(fd, datagram, size, 0);
      due++;
      continue;
    }
    double wait = (time < end ? when : end + DRAIN) - time;
    struct timespec timeout = {(time_t)wait, (long)((wait - (double)(time_t)wait) * 1e9)};
    struct pollfd ready = {.fd = fd, .events = POLLIN};
    if (wait > 0 && ppoll(&ready, 1, &timeout, NULL) > 0) drain(fd, &next);
  }
  qsort(samples, taken, sizeof *samples, ascending);
  printf("{\"datagrams\":%llu,\"arrived\":%zu,\"size\":%zu,\"seconds\":%.6f,\"reordered\":%llu,\"p50\":%.1f,\"p90\":%.1f,"
         "\"p99\":%.1f,\"max\":%.1f}\n",
         (unsigned long long)sent, taken, size, seconds, (unsigned long long)reordered, quantile(.5), quantile(.9),
         quantile(.99), quantile(1));
  return 0;
}
