#include <linux/bpf.h>
#include <linux/if_tun.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "exports.h"
#include "scoped_descriptor.h"

namespace {

constexpr bpf_insn instruction(int code, int to, int from, int offset, int value) {
  bpf_insn made{};
  made.code = static_cast<uint8_t>(code);
  made.dst_reg = static_cast<uint8_t>(to);
  made.src_reg = static_cast<uint8_t>(from);
  made.off = static_cast<int16_t>(offset);
  made.imm = value;
  return made;
}

constexpr int ipv4Ports = 20;
constexpr int ipv6Ports = 40;

/** Source port XOR destination port of a TCP packet without IP options; a packet that is shorter goes to queue 0. */
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
  bpf_attr attributes{};
  attributes.prog_type = BPF_PROG_TYPE_SOCKET_FILTER;
  attributes.insns = reinterpret_cast<uint64_t>(program);
  attributes.insn_cnt = std::size(program);
  attributes.license = reinterpret_cast<uint64_t>("Dual MIT/GPL");
  // TUN keeps the program; its descriptor is not needed any more.
  const ScopedDescriptor loaded(static_cast<int>(syscall(SYS_bpf, BPF_PROG_LOAD, &attributes, sizeof attributes)));
  if (loaded < 0) return -errno;
  int number = loaded;
  return ioctl(fd, TUNSETSTEERINGEBPF, &number) < 0 ? -errno : 0;
}
