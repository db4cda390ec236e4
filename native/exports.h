#pragma once

#include "call.h"

/* The functions that the addon exports; poller.h has its one class. src/native.ts is their contract: it tells
 * arguments, units and answers. */

int32_t arenaOpen(Environment&, napi_value bytes);
int32_t arenaClose(Environment&, int64_t arena);
int64_t copy(Environment&, Memory to, int64_t toAt, Memory from, int64_t fromAt, int64_t length);
int32_t moveBatch(Environment&, Memory memory, Words vec, int64_t vecAt, int64_t moves);
int32_t checksum(Environment&, Memory memory, int64_t at, int64_t length, uint32_t initial);
double clockNow(Environment&);
int32_t duplicate(Environment&, int fd);
int32_t closeDescriptor(Environment&, int fd);

int32_t tunOpen(Environment&, Name name, int flags);
int32_t tunAdopt(Environment&, int fd);
napi_value tunName(Environment&, int fd);
int32_t tunHeaderSize(Environment&, int fd, int bytes);
int32_t tunOffload(Environment&, int fd, uint32_t offloads);
int32_t tunSteer(Environment&, int fd);
int32_t floodMapOpen(Environment&);
int32_t floodFilterOpen(Environment&, int map, int spanBits, int handshakes, int others, int retryBits);
int32_t tunFilter(Environment&, int fd, int program);
int32_t floodBegin(Environment&, int map);
int32_t floodSyns(Environment&, int map, int twice);
int32_t floodAdmit(Environment&, int map, Bytes tuples);
double floodDropped(Environment&, int map, int syns);

int32_t captureOpen(Environment&, Name interface, int receiveBuffer);
int32_t sniffOpen(Environment&, Bytes filter);
int64_t sniffRead(Environment&, int fd, Memory memory, int64_t at, int64_t length, Words vec, int64_t vecAt);
int32_t linkUp(Environment&, Name name, int mtu, int txQueueLength);
int32_t linkMangleId(Environment&, Name name);
int32_t netlinkOpen(Environment&, uint32_t groups);

int64_t writeNow(Environment&, int fd, Memory memory, int64_t at, int64_t length);
int32_t exitAfter(Environment&, int milliseconds, int code);

int32_t pairOpen(Environment&, napi_value out);
int64_t readOne(Environment&, int fd, Memory memory, int64_t at, int64_t length);
int64_t writeOne(Environment&, int fd, Memory memory, int64_t at, int64_t length);
int32_t readBatch(Environment&, int fd, Memory memory, int64_t at, int64_t end, int64_t room, Words vec, int64_t vecAt,
                  int64_t max, int64_t sumsAt);
int64_t writeGather(Environment&, int fd, Memory head, int64_t headAt, int64_t headLength, Memory body, Words vec,
                    int64_t vecAt, int64_t pieces);
int32_t writeSegments(Environment&, int fd, Memory head, int64_t headAt, int64_t headLength, int64_t virtioLength,
                      Memory body, Words vec, int64_t vecAt, int64_t pieces, int64_t segmentSize);

int32_t udpOpen(Environment&, int family, int flags);
int32_t udpBind(Environment&, int fd, Bytes address, int port, uint32_t scope);
int32_t udpConnect(Environment&, int fd, Bytes address, int port, uint32_t scope);
int32_t udpDisconnect(Environment&, int fd);
int32_t udpAddress(Environment&, int fd, Bytes out);
int32_t udpPort(Environment&, int fd);
int32_t socketBuffers(Environment&, int fd, int receive, int send);
int32_t udpReceive(Environment&, int fd, Memory memory, int64_t at, int64_t stride, int64_t max, Words vec,
                   int64_t vecAt);
int32_t udpSend(Environment&, int fd, int family, Memory memory, Words vec, int64_t vecAt, int64_t messages);

int32_t interfaceIndex(Environment&, Name name);
napi_value interfaceName(Environment&, int index);

int32_t eventOpen(Environment&);
int32_t eventRing(Environment&, int fd);
double eventDrain(Environment&, int fd);
int32_t timerOpen(Environment&);
int32_t timerSet(Environment&, int fd, int64_t microseconds);
