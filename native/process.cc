#include <limits.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <csignal>

#include "exports.h"
#include "io.h"

namespace {

/** The signal handler `endHere` reads it. */
volatile sig_atomic_t exitCode;

void endHere(int) {
  _exit(exitCode);
}

}  // namespace

int64_t writeNow(Environment&, int fd, Memory memory, int64_t at, int64_t length) {
  if (!memory.holds(at, length)) return -EFAULT;
  const uint8_t* const bytes = memory.data + at;
  const int64_t sent = retried([&] { return send(fd, bytes, length, MSG_DONTWAIT | MSG_NOSIGNAL); });
  if (sent != -ENOTSOCK) return sent;
  pollfd writable = {fd, POLLOUT, 0};
  const int64_t ready = retried([&] { return poll(&writable, 1, 0); });
  if (ready <= 0) return ready < 0 ? ready : -EAGAIN;
  // A pipe that is writable takes PIPE_BUF bytes without waiting.
  const size_t most = length < PIPE_BUF ? length : PIPE_BUF;
  return retried([&] { return write(fd, bytes, most); });
}

int32_t exitAfter(Environment&, int milliseconds, int code) {
  if (milliseconds <= 0) return -EINVAL;
  exitCode = code;
  struct sigaction action = {};
  action.sa_handler = endHere;
  const itimerval timer = {{0, 0}, {milliseconds / 1000, milliseconds % 1000 * 1000}};
  if (sigaction(SIGALRM, &action, nullptr) < 0 || setitimer(ITIMER_REAL, &timer, nullptr) < 0) return -errno;
  return 0;
}
