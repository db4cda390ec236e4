// Sends and receives over one UDP socket at once: both directions of a tunnel under load.
//
//     udp-duplex --to IP:PORT     [--size BYTES] [--rate N] [--warmup MS] [--seconds S]
//     udp-duplex --listen IP:PORT …                     answers whoever sends first
//
// Either end sends one datagram per system call for `--seconds`. It begins `--warmup` after the first datagram on the
// way. It prints one JSON line: what it sent, and `Arrived` of bench/scenario.ts.
#define _GNU_SOURCE
#include "load.h"
#include <pthread.h>
#include <sys/prctl.h>
#include <unistd.h>

enum { CLOCK_EVERY = 32, MESSAGES = 64, RECEIVE_BUFFER = 64 << 20 };
static const double TICK_SECONDS = 0.0001;
static const double DRAIN = 0.3;

static int fd;
static size_t size;
static volatile int done;
static struct {
  uint64_t datagrams, bytes, reordered, corrupted;
  uint32_t next;
  double first, last;
} arrived;

static void count(const uint8_t *datagram, size_t length) {
  int64_t sequence = sequence_at(datagram, length);
  if (sequence == WARMUP) return;
  arrived.datagrams++, arrived.bytes += length;
  if (sequence < 0) {
    arrived.corrupted++;
    return;
  }
  if (sequence < arrived.next) arrived.reordered++;
  else arrived.next = (uint32_t)sequence + 1;
  if (arrived.datagrams % SAMPLE_EVERY == 0 && !matches(datagram, (size_t)sequence % SLOTS, length)) arrived.corrupted++;
}

static void *receive(void *unused) {
  static uint8_t room[MESSAGES][2048];
  struct iovec pieces[MESSAGES];
  struct mmsghdr messages[MESSAGES] = {0};
  for (int i = 0; i < MESSAGES; i++) {
    pieces[i] = (struct iovec){room[i], sizeof room[i]};
    messages[i].msg_hdr.msg_iov = &pieces[i], messages[i].msg_hdr.msg_iovlen = 1;
  }
  while (!done) {
    int got = recvmmsg(fd, messages, MESSAGES, MSG_WAITFORONE, NULL);
    if (got <= 0) continue;
    for (int i = 0; i < got; i++) count(room[i], messages[i].msg_len);
    arrived.last = now();
    if (arrived.first == 0 && arrived.datagrams > 0) arrived.first = arrived.last;
  }
  return unused;
}

static uint64_t send_all(double rate, double seconds) {
  static uint8_t slots[SLOTS][MAX_SIZE + 1];
  for (size_t slot = 0; slot < SLOTS; slot++) fill(slots[slot], slot, size);
  uint64_t sent = 0;
  uint32_t sequence = 0;
  double start = now(), end = start + seconds;
  for (double time = start; time < end; time = now()) {
    uint32_t due = rate > 0 ? (uint32_t)((time - start) * rate) : sequence + CLOCK_EVERY;
    for (; sequence < due; sequence++) {
      uint8_t *datagram = slots[sequence % SLOTS];
      stamp(datagram, 0, sequence);
      if (send(fd, datagram, size, 0) == (ssize_t)size) sent++;
    }
    if (rate > 0) pause_seconds(TICK_SECONDS);
  }
  return sent;
}

int main(int argc, char **argv) {
  size = (size_t)number(argc, argv, "--size", 1400, HEADER, 2048);
  double rate = number(argc, argv, "--rate", 0, 0, 1e9), warmup = number(argc, argv, "--warmup", 600, 0, 10000);
  double seconds = number(argc, argv, "--seconds", 5, 0.01, MAX_SECONDS);
  const char *listens = option(argc, argv, "--listen");
  struct sockaddr_in peer = endpoint(listens ? listens : option(argc, argv, "--to"));
  prctl(PR_SET_TIMERSLACK, 1000UL);
  alarm(MAX_SECONDS);
  fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  int buffer = RECEIVE_BUFFER;
  struct timeval timeout = {0, 50000};
  if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &buffer, sizeof buffer)) die("socket");
  uint8_t datagram[2048] = {0};
  if (listens) {
    socklen_t length = sizeof peer;
    if (bind(fd, (struct sockaddr *)&peer, sizeof peer)) die("bind");
    fprintf(stderr, "ready\n");
    if (recvfrom(fd, datagram, sizeof datagram, 0, (struct sockaddr *)&peer, &length) < 0) die("recvfrom");
  }
  if (connect(fd, (struct sockaddr *)&peer, sizeof peer)) die("connect");
  if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout)) die("SO_RCVTIMEO");
  stamp(datagram, 0, WARMUP);
  (void)!send(fd, datagram, size, 0);
  pthread_t receiver;
  if (pthread_create(&receiver, NULL, receive, NULL)) die("pthread_create");
  pause_seconds(warmup / 1000);
  uint64_t sent = send_all(rate, seconds);
  pause_seconds(DRAIN);
  done = 1;
  pthread_join(receiver, NULL);
  printf("{\"sent\":{\"datagrams\":%llu,\"bytes\":%llu,\"seconds\":%.6f,\"cpuSeconds\":%.3f},"
         "\"arrived\":{\"datagrams\":%llu,\"bytes\":%llu,\"seconds\":%.6f,\"reordered\":%llu,\"corrupted\":%llu,"
         "\"cpuSeconds\":0}}\n",
         (unsigned long long)sent, (unsigned long long)(sent * size), seconds, cpu_seconds(),
         (unsigned long long)arrived.datagrams, (unsigned long long)arrived.bytes, arrived.last - arrived.first,
         (unsigned long long)arrived.reordered, (unsigned long long)arrived.corrupted);
  return 0;
}
