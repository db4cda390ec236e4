// What the load tools in C share: the datagrams of bench/load/datagram.ts, clocks, and a command line of `--name value`
// pairs.
#pragma once
#include <arpa/inet.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>

enum { SLOTS = 256, HEADER = 8, MAX_SIZE = 65507, MAX_FLOWS = 16384, MAX_SECONDS = 120, SAMPLE_EVERY = 64 };
#define WARMUP UINT32_MAX

static inline double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static inline void pause_seconds(double seconds) {
  struct timespec t = {(time_t)seconds, (long)((seconds - (double)(time_t)seconds) * 1e9)};
  if (seconds > 0) nanosleep(&t, NULL);
}

static inline double cpu_seconds(void) {
  struct rusage u;
  getrusage(RUSAGE_SELF, &u);
  return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) + (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static inline uint16_t tag_of(uint16_t flow, uint32_t sequence) {
  return (uint16_t)(sequence ^ (sequence >> 16) ^ flow ^ 0x9e37u);
}

static inline void stamp(uint8_t *at, uint16_t flow, uint32_t sequence) {
  uint16_t tag = tag_of(flow, sequence);
  at[0] = (uint8_t)(flow >> 8), at[1] = (uint8_t)flow;
  at[2] = (uint8_t)(tag >> 8), at[3] = (uint8_t)tag;
  at[4] = (uint8_t)(sequence >> 24), at[5] = (uint8_t)(sequence >> 16);
  at[6] = (uint8_t)(sequence >> 8), at[7] = (uint8_t)sequence;
}

// Sequence number of a datagram, or -1 when its header is not one of ours.
static inline int64_t sequence_at(const uint8_t *at, size_t size) {
  if (size < HEADER) return -1;
  uint16_t flow = (uint16_t)(at[0] << 8 | at[1]), tag = (uint16_t)(at[2] << 8 | at[3]);
  uint32_t sequence = (uint32_t)at[4] << 24 | (uint32_t)at[5] << 16 | (uint32_t)at[6] << 8 | at[7];
  return tag == tag_of(flow, sequence) ? (int64_t)sequence : -1;
}

static inline uint8_t pattern(size_t slot, size_t i) { return (uint8_t)(i * 7 + slot * 13 + (i >> 8)); }

static inline void fill(uint8_t *datagram, size_t slot, size_t size) {
  for (size_t i = HEADER; i < size; i++) datagram[i] = pattern(slot, i);
}

static inline int matches(const uint8_t *datagram, size_t slot, size_t size) {
  for (size_t i = HEADER; i < size; i++)
    if (datagram[i] != pattern(slot, i)) return 0;
  return 1;
}

static inline void die(const char *what) {
  fprintf(stderr, "%s: %s\n", what, strerror(errno));
  exit(1);
}

// Reads `text` as IPV4:PORT.
static inline struct sockaddr_in endpoint(const char *text) {
  const char *colon = text ? strrchr(text, ':') : NULL;
  char host[64] = {0};
  if (colon) snprintf(host, sizeof host, "%.*s", (int)(colon - text), text);
  struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons((uint16_t)(colon ? atoi(colon + 1) : 0))};
  if (!colon || inet_pton(AF_INET, host, &in.sin_addr) != 1) errno = EINVAL, die("address");
  return in;
}

// Value of `--name` in a command line of pairs, or NULL.
static inline const char *option(int argc, char **argv, const char *name) {
  for (int i = 1; i + 1 < argc; i += 2)
    if (!strcmp(argv[i], name)) return argv[i + 1];
  return NULL;
}

// A number within bounds, or `otherwise` when the option is missing.
static inline double number(int argc, char **argv, const char *name, double otherwise, double low, double high) {
  const char *text = option(argc, argv, name);
  double value = text ? atof(text) : otherwise;
  if (value >= low && value <= high) return value;
  fprintf(stderr, "%s must be from %g to %g\n", name, low, high);
  exit(2);
}
