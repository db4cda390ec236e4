#include <linux/if_tun.h>
#include <sys/ioctl.h>

#include "bpf.h"
#include "exports.h"
#include "scoped_descriptor.h"

namespace {

/** Byte offsets of the two ports, behind an IP header without options or extension headers: no peer sends any. */
constexpr int ipv4Ports = 20;
constexpr int ipv6Ports = 40;

/** Answers source port XOR destination port. The kernel takes that modulo the number of queues. For a packet that is
 * too short the kernel ends the program with 0. `queueOf` in src/engine/ports.ts computes the same queue: the two must
 * agree (test/native/tun.inside.ts compares them). */
constexpr bpf_insn program[] = {
    instruction(BPF_ALU64 | BPF_MOV | BPF_X, BPF_REG_6, BPF_REG_1, 0, 0),
    instruction(BPF_LD | BPF_ABS | BPF_B, 0, 0, 0, 0),
    instruction(BPF_ALU64 | BPF_RSH | BPF_K, BPF_REG_0, 0, 0, 4),
    instruction(BPF_JMP | BPF_JEQ | BPF_K, BPF_REG_0, 0, 2, 6),
    instruction(BPF_LD | BPF_ABS | BPF_W, 0, 0, 0, ipv4Ports),
    instruction(BPF_JMP | BPF_JA, 0, 0, 1, 0),
    instruction(BPF_LD | BPF_ABS | BPF_W, 0, 0, 0, ipv6Ports),
    instruction(BPF_ALU64 | BPF_MOV | BPF_X, BPF_REG_1, BPF_REG_0, 0, 0),
    instruction(BPF_ALU64 | BPF_RSH | BPF_K, BPF_REG_1, 0, 0, 16),
    instruction(BPF_ALU64 | BPF_XOR | BPF_X, BPF_REG_0, BPF_REG_1, 0, 0),
    instruction(BPF_ALU64 | BPF_AND | BPF_K, BPF_REG_0, 0, 0, 0xffff),
    instruction(BPF_JMP | BPF_EXIT, 0, 0, 0, 0),
};

}  // namespace

int32_t tunSteer(Environment&, int fd) {
  const ScopedDescriptor loaded(loadProgram(program));
  if (loaded < 0) return loaded;
  int number = loaded;
  return ioctl(fd, TUNSETSTEERINGEBPF, &number) < 0 ? -errno : 0;
}
