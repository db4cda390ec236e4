#include <linux/if_tun.h>
#include <sys/ioctl.h>
#include <sys/random.h>

#include <vector>

#include "bpf.h"
#include "exports.h"

namespace {

/* The map: `blocks` blocks of stamps, a byte for each place that a SYN's tuple may hash to, then one block that begins
 * with State. */
constexpr int blockBits = 12;
constexpr uint32_t blocks = 4096;

struct State {
  uint64_t dropped;
  /** Number of the span of time (2^24 ns) that `passed` counts in. */
  uint64_t span;
  uint64_t passed;
};

/** A SYN passes when one of the same tuple came in this or the last span of 2^30 ns; a client that got no answer sends
 * the next after 1 s. */
constexpr int stampShift = 30;
/** In every stamp, to tell it from a place where none was ever left. */
constexpr int written = 0x80;
/** And at most this many of them in 2^24 ns, 48,000 a second: fewer than one worker answers. */
constexpr int spanShift = 24;
constexpr int mostPerSpan = 800;

/** SYN alone among FIN, SYN, RST and ACK. */
constexpr int kinds = 0x17;
constexpr int syn = 0x02;
constexpr int tcp = 6;

constexpr uint64_t multiplier = 0x9e3779b97f4a7c15;

/** Collects instructions; jumps to a label that comes later are patched when it is placed. */
class Assembler {
 public:
  struct Label {
    std::vector<size_t> jumps;
  };

  void add(int code, int to, int from = 0, int offset = 0, int value = 0) {
    program_.push_back(instruction(code, to, from, offset, value));
  }
  void constant(int to, uint64_t value) { wide(to, 0, value); }
  void map(int to, int fd) { wide(to, BPF_PSEUDO_MAP_FD, static_cast<uint32_t>(fd)); }
  void jump(int code, int with, int value, Label& target) {
    target.jumps.push_back(program_.size());
    add(BPF_JMP | code | BPF_K, with, 0, 0, value);
  }
  void jump(Label& target) { jump(BPF_JA, 0, 0, target); }
  void jumpIfEqual(int one, int other, Label& target) {
    target.jumps.push_back(program_.size());
    add(BPF_JMP | BPF_JEQ | BPF_X, one, other);
  }
  void place(const Label& label) {
    for (const size_t at : label.jumps) program_[at].off = static_cast<int16_t>(program_.size() - at - 1);
  }
  /** Part of the packet in network order into R0; R6 is the context. A packet that is too short for it is dropped. */
  void byteAt(int offset) { add(BPF_LD | BPF_ABS | BPF_B, 0, 0, 0, offset); }
  void wordAt(int offset) { add(BPF_LD | BPF_ABS | BPF_W, 0, 0, 0, offset); }
  void set(int to, int value) { add(BPF_ALU64 | BPF_MOV | BPF_K, to, 0, 0, value); }
  void move(int to, int from) { add(BPF_ALU64 | BPF_MOV | BPF_X, to, from); }
  void alu(int operation, int to, int value) { add(BPF_ALU64 | operation | BPF_K, to, 0, 0, value); }
  void aluBy(int operation, int to, int from) { add(BPF_ALU64 | operation | BPF_X, to, from); }
  /** R0 = the map's element R1, which exists whenever R1 <= blocks; else to `otherwise`. Clobbers R1 to R5. */
  void lookUp(int fd, Label& otherwise) {
    add(BPF_STX | BPF_MEM | BPF_W, BPF_REG_10, BPF_REG_1, -4);
    move(BPF_REG_2, BPF_REG_10);
    alu(BPF_ADD, BPF_REG_2, -4);
    map(BPF_REG_1, fd);
    add(BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_map_lookup_elem);
    jump(BPF_JEQ, BPF_REG_0, 0, otherwise);
  }
  std::span<const bpf_insn> program() const { return program_; }

 private:
  void wide(int to, int kind, uint64_t value) {
    add(BPF_LD | BPF_DW | BPF_IMM, to, kind, 0, static_cast<int>(value));
    add(0, 0, 0, 0, static_cast<int>(value >> 32));
  }

  std::vector<bpf_insn> program_;
};

/** R6: the packet, R7: hash, R8: time in ns, R9: spans since the stamp. Answers how many bytes of the packet stay, 0:
 * it is dropped. */
Assembler assemble(int map, uint64_t key) {
  Assembler a;
  Assembler::Label pass, drop, six, judge, wasWritten, sameSpan;
  const auto mix = [&](int offset) {
    a.wordAt(offset);
    a.aluBy(BPF_XOR, BPF_REG_7, BPF_REG_0);
    a.constant(BPF_REG_1, multiplier);
    a.aluBy(BPF_MUL, BPF_REG_7, BPF_REG_1);
    a.move(BPF_REG_1, BPF_REG_7);
    a.alu(BPF_RSH, BPF_REG_1, 32);
    a.aluBy(BPF_XOR, BPF_REG_7, BPF_REG_1);
  };
  const auto onlySyns = [&](int protocolAt, int flagsAt) {
    a.byteAt(protocolAt);
    a.jump(BPF_JNE, BPF_REG_0, tcp, pass);
    a.byteAt(flagsAt);
    a.alu(BPF_AND, BPF_REG_0, kinds);
    a.jump(BPF_JNE, BPF_REG_0, syn, pass);
  };
  a.move(BPF_REG_6, BPF_REG_1);
  a.constant(BPF_REG_7, key);
  a.byteAt(0);
  a.move(BPF_REG_1, BPF_REG_0);
  a.alu(BPF_RSH, BPF_REG_1, 4);
  a.jump(BPF_JEQ, BPF_REG_1, 6, six);
  // With options the worker judges alone.
  a.jump(BPF_JNE, BPF_REG_0, 0x45, pass);
  onlySyns(9, 33);
  for (const int offset : {12, 20}) mix(offset);
  a.jump(judge);
  a.place(six);
  onlySyns(6, 53);
  for (const int offset : {8, 12, 16, 20, 40}) mix(offset);
  a.place(judge);

  a.add(BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_ktime_get_ns);
  a.move(BPF_REG_8, BPF_REG_0);
  a.move(BPF_REG_1, BPF_REG_7);
  a.alu(BPF_RSH, BPF_REG_1, blockBits);
  a.alu(BPF_AND, BPF_REG_1, blocks - 1);
  a.lookUp(map, pass);
  a.alu(BPF_AND, BPF_REG_7, (1 << blockBits) - 1);
  a.aluBy(BPF_ADD, BPF_REG_0, BPF_REG_7);
  a.move(BPF_REG_9, BPF_REG_8);
  a.alu(BPF_RSH, BPF_REG_9, stampShift);
  a.alu(BPF_OR, BPF_REG_9, written);
  a.add(BPF_LDX | BPF_MEM | BPF_B, BPF_REG_1, BPF_REG_0);
  a.add(BPF_STX | BPF_MEM | BPF_B, BPF_REG_0, BPF_REG_9);
  a.aluBy(BPF_SUB, BPF_REG_9, BPF_REG_1);
  a.alu(BPF_AND, BPF_REG_9, written - 1);
  a.jump(BPF_JNE, BPF_REG_1, 0, wasWritten);
  a.set(BPF_REG_9, 2);
  a.place(wasWritten);

  a.set(BPF_REG_1, blocks);
  a.lookUp(map, pass);
  a.jump(BPF_JGT, BPF_REG_9, 1, drop);
  a.alu(BPF_RSH, BPF_REG_8, spanShift);
  a.add(BPF_LDX | BPF_MEM | BPF_DW, BPF_REG_1, BPF_REG_0, offsetof(State, span));
  a.add(BPF_LDX | BPF_MEM | BPF_DW, BPF_REG_2, BPF_REG_0, offsetof(State, passed));
  a.jumpIfEqual(BPF_REG_1, BPF_REG_8, sameSpan);
  a.add(BPF_STX | BPF_MEM | BPF_DW, BPF_REG_0, BPF_REG_8, offsetof(State, span));
  a.set(BPF_REG_2, 0);
  a.place(sameSpan);
  a.jump(BPF_JGE, BPF_REG_2, mostPerSpan, drop);
  // Two processors may count one SYN between them; it need not be exact.
  a.alu(BPF_ADD, BPF_REG_2, 1);
  a.add(BPF_STX | BPF_MEM | BPF_DW, BPF_REG_0, BPF_REG_2, offsetof(State, passed));
  a.place(pass);
  a.set(BPF_REG_0, INT32_MAX);
  a.add(BPF_JMP | BPF_EXIT, 0);
  a.place(drop);
  a.set(BPF_REG_1, 1);
  a.add(BPF_STX | BPF_ATOMIC | BPF_DW, BPF_REG_0, BPF_REG_1, offsetof(State, dropped), BPF_ADD);
  a.set(BPF_REG_0, 0);
  a.add(BPF_JMP | BPF_EXIT, 0);
  return a;
}

}  // namespace

int32_t synMapOpen(Environment& environment) {
  bpf_attr attributes{};
  attributes.map_type = BPF_MAP_TYPE_ARRAY;
  attributes.key_size = sizeof(uint32_t);
  attributes.value_size = 1 << blockBits;
  attributes.max_entries = blocks + 1;
  return environment.own(static_cast<int>(syscall(SYS_bpf, BPF_MAP_CREATE, &attributes, sizeof attributes)));
}

int32_t synFilterOpen(Environment& environment, int map) {
  uint64_t key = 0;
  if (getrandom(&key, sizeof key, 0) != sizeof key) return -errno;
  const int loaded = loadProgram(assemble(map, key).program());
  return loaded < 0 ? loaded : environment.own(loaded);
}

int32_t tunFilter(Environment&, int fd, int program) {
  return ioctl(fd, TUNSETFILTEREBPF, &program) < 0 ? -errno : 0;
}

double synFilterDropped(Environment&, int map) {
  uint32_t key = blocks;
  union {
    State state;
    uint8_t block[1 << blockBits];
  } value;
  bpf_attr attributes{};
  attributes.map_fd = static_cast<uint32_t>(map);
  attributes.key = reinterpret_cast<uint64_t>(&key);
  attributes.value = reinterpret_cast<uint64_t>(&value);
  if (syscall(SYS_bpf, BPF_MAP_LOOKUP_ELEM, &attributes, sizeof attributes) < 0) return -errno;
  return static_cast<double>(value.state.dropped);
}
