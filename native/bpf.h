#pragma once

#include <linux/bpf.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <span>

/* eBPF programs are assembled here, instruction by instruction: for a dozen to some hundred of them no compiler is
 * needed. */

constexpr bpf_insn instruction(int code, int to, int from, int offset, int value) {
  bpf_insn made{};
  made.code = static_cast<uint8_t>(code);
  made.dst_reg = static_cast<uint8_t>(to);
  made.src_reg = static_cast<uint8_t>(from);
  made.off = static_cast<int16_t>(offset);
  made.imm = value;
  return made;
}

/** Loads a program into the kernel: a descriptor or -errno. A TUN that was given the program keeps it, so the
 * descriptor may be closed then. */
inline int loadProgram(std::span<const bpf_insn> program) {
  bpf_attr attributes{};
  attributes.prog_type = BPF_PROG_TYPE_SOCKET_FILTER;
  attributes.insns = reinterpret_cast<uint64_t>(program.data());
  attributes.insn_cnt = static_cast<uint32_t>(program.size());
  attributes.license = reinterpret_cast<uint64_t>("Dual MIT/GPL");
  const long loaded = syscall(SYS_bpf, BPF_PROG_LOAD, &attributes, sizeof attributes);
  return loaded < 0 ? -errno : static_cast<int>(loaded);
}
