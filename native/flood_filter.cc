#include <linux/if_tun.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/random.h>

#include <vector>

#include "bpf.h"
#include "exports.h"

namespace {

/* The map's layout: `blocks` blocks of marks, one byte for each place that a tuple may hash to, and then one block that
 * begins with State. */
constexpr int blockBits = 12;
constexpr uint32_t blocks = 4096;
constexpr size_t markBytes = size_t{blocks} << blockBits;
constexpr size_t mapBytes = markBytes + (1 << blockBits);

/** Counts the packets of one kind that pass in a span of time. */
struct Passed {
  /** Number of the span: the time divided by the span's length. */
  uint64_t span;
  uint64_t count;
};

struct State {
  /** Seed of the hash of tuples, a new one for every flood. */
  uint64_t key;
  /** Not 0: the first SYN of a tuple is dropped. */
  uint64_t synsTwice;
  uint64_t droppedSyns;
  uint64_t droppedOthers;
  Passed handshakes;
  Passed others;
};

/** What the caller of `floodFilterOpen` decides; src/flood/limits.ts has the values and their reasons. */
struct Limits {
  /** Packets are counted in spans of 2^spanBits ns. */
  int spanBits;
  /** Packets of handshakes that pass per span. */
  int handshakes;
  /** Packets of neither a connection nor a handshake that pass per span. */
  int others;
  /** A tuple's SYN is remembered for its span of 2^retryBits ns and the next. */
  int retryBits;
};

/** The mark of a live connection's tuple. A mark that is neither 0 nor `live` tells when the tuple's last SYN came: it
 * is the number of that span, modulo 128, with the bit `written`. */
constexpr int live = 1;
constexpr int written = 0x80;

/** The flags that tell what a segment is for: FIN, SYN, RST and ACK. */
constexpr int kinds = 0x17;
constexpr int syn = 0x02;
constexpr int tcp = 6;

constexpr uint64_t multiplier = 0x9e3779b97f4a7c15;

constexpr uint64_t mix(uint64_t hash, uint32_t word) {
  hash = (hash ^ word) * multiplier;
  return hash ^ hash >> 32;
}

/** Collects instructions. A jump may name a label that is placed later: `place` patches it then. */
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
  void load(int to, int from, int offset) { add(BPF_LDX | BPF_MEM | BPF_DW, to, from, offset); }
  void store(int to, int offset, int from) { add(BPF_STX | BPF_MEM | BPF_DW, to, from, offset); }
  void place(const Label& label) {
    for (const size_t at : label.jumps) program_[at].off = static_cast<int16_t>(program_.size() - at - 1);
  }
  /** Loads a byte or word of the packet, in network byte order, into R0. R6 must be the context. The kernel ends the
   * program with 0 when the packet is too short: the packet is dropped. */
  void byteAt(int offset) { add(BPF_LD | BPF_ABS | BPF_B, 0, 0, 0, offset); }
  void wordAt(int offset) { add(BPF_LD | BPF_ABS | BPF_W, 0, 0, 0, offset); }
  void set(int to, int value) { add(BPF_ALU64 | BPF_MOV | BPF_K, to, 0, 0, value); }
  void move(int to, int from) { add(BPF_ALU64 | BPF_MOV | BPF_X, to, from); }
  void alu(int operation, int to, int value) { add(BPF_ALU64 | operation | BPF_K, to, 0, 0, value); }
  void aluBy(int operation, int to, int from) { add(BPF_ALU64 | operation | BPF_X, to, from); }
  /** R0 = address of the map's element number R1. Jumps to `otherwise` when there is none: never, while R1 <= blocks,
   * but the kernel's verifier demands it. Clobbers R1 to R5. */
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

/** Offset from the frame's end (R10) of the word that keeps the time. */
constexpr int timeAt = -16;

/** The filter. It keeps in R6 the packet, in R7 the tuple's hash, in R8 the State, in R9 whether the packet is a SYN.
 * It answers how many bytes of the packet are kept; 0 drops it. */
Assembler assemble(int map, const Limits& limits) {
  Assembler a;
  Assembler::Label pass, drop, dropSyn, other, six, judge, known, handshake, stray;
  const auto mixWord = [&](int offset) {
    a.wordAt(offset);
    a.aluBy(BPF_XOR, BPF_REG_7, BPF_REG_0);
    a.constant(BPF_REG_1, multiplier);
    a.aluBy(BPF_MUL, BPF_REG_7, BPF_REG_1);
    a.move(BPF_REG_1, BPF_REG_7);
    a.alu(BPF_RSH, BPF_REG_1, 32);
    a.aluBy(BPF_XOR, BPF_REG_7, BPF_REG_1);
  };
  const auto tcpOf = [&](int protocolAt, int flagsAt) {
    Assembler::Label notSyn;
    a.byteAt(protocolAt);
    a.jump(BPF_JNE, BPF_REG_0, tcp, other);
    a.byteAt(flagsAt);
    a.alu(BPF_AND, BPF_REG_0, kinds);
    a.jump(BPF_JNE, BPF_REG_0, syn, notSyn);
    a.set(BPF_REG_9, 1);
    a.place(notSyn);
  };
  const auto time = [&] {
    a.add(BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_ktime_get_ns);
    a.store(BPF_REG_10, timeAt, BPF_REG_0);
  };
  // Passes up to `maximum` packets a span. Two processors may count two packets as one: the limit need not be exact.
  const auto passWithin = [&](size_t passed, int maximum) {
    Assembler::Label sameSpan;
    const int spanAt = static_cast<int>(passed + offsetof(Passed, span));
    const int countAt = static_cast<int>(passed + offsetof(Passed, count));
    a.load(BPF_REG_2, BPF_REG_10, timeAt);
    a.alu(BPF_RSH, BPF_REG_2, limits.spanBits);
    a.load(BPF_REG_1, BPF_REG_8, spanAt);
    a.load(BPF_REG_3, BPF_REG_8, countAt);
    a.jumpIfEqual(BPF_REG_1, BPF_REG_2, sameSpan);
    a.store(BPF_REG_8, spanAt, BPF_REG_2);
    a.set(BPF_REG_3, 0);
    a.place(sameSpan);
    a.jump(BPF_JGE, BPF_REG_3, maximum, drop);
    a.alu(BPF_ADD, BPF_REG_3, 1);
    a.store(BPF_REG_8, countAt, BPF_REG_3);
    a.jump(pass);
  };
  const auto count = [&](size_t counter) {
    a.set(BPF_REG_1, 1);
    a.add(BPF_STX | BPF_ATOMIC | BPF_DW, BPF_REG_8, BPF_REG_1, static_cast<int>(counter), BPF_ADD);
    a.set(BPF_REG_0, 0);
    a.add(BPF_JMP | BPF_EXIT, 0);
  };
  a.move(BPF_REG_6, BPF_REG_1);
  a.set(BPF_REG_1, blocks);
  a.lookUp(map, pass);
  a.move(BPF_REG_8, BPF_REG_0);
  a.load(BPF_REG_7, BPF_REG_8, offsetof(State, key));
  a.set(BPF_REG_9, 0);
  a.byteAt(0);
  a.move(BPF_REG_1, BPF_REG_0);
  a.alu(BPF_RSH, BPF_REG_1, 4);
  a.jump(BPF_JEQ, BPF_REG_1, 6, six);
  // IPv4 without options: no peer sends any.
  a.jump(BPF_JNE, BPF_REG_0, 0x45, other);
  tcpOf(9, 33);
  for (const int offset : {12, 20}) mixWord(offset);
  a.jump(judge);
  a.place(six);
  tcpOf(6, 53);
  for (const int offset : {8, 12, 16, 20, 40}) mixWord(offset);
  a.place(judge);

  time();
  a.move(BPF_REG_1, BPF_REG_7);
  a.alu(BPF_RSH, BPF_REG_1, blockBits);
  a.alu(BPF_AND, BPF_REG_1, blocks - 1);
  a.lookUp(map, pass);
  a.alu(BPF_AND, BPF_REG_7, (1 << blockBits) - 1);
  a.aluBy(BPF_ADD, BPF_REG_0, BPF_REG_7);
  a.add(BPF_LDX | BPF_MEM | BPF_B, BPF_REG_1, BPF_REG_0);
  a.jump(BPF_JEQ, BPF_REG_1, live, pass);
  // Now R1 is the mark, and R2 the number of spans since the tuple's last SYN, if there was one.
  a.load(BPF_REG_3, BPF_REG_10, timeAt);
  a.alu(BPF_RSH, BPF_REG_3, limits.retryBits);
  a.alu(BPF_OR, BPF_REG_3, written);
  a.move(BPF_REG_2, BPF_REG_3);
  a.aluBy(BPF_SUB, BPF_REG_2, BPF_REG_1);
  a.alu(BPF_AND, BPF_REG_2, written - 1);
  a.jump(BPF_JEQ, BPF_REG_9, 0, known);
  a.add(BPF_STX | BPF_MEM | BPF_B, BPF_REG_0, BPF_REG_3);
  a.load(BPF_REG_3, BPF_REG_8, offsetof(State, synsTwice));
  a.jump(BPF_JEQ, BPF_REG_3, 0, handshake);
  a.jump(BPF_JEQ, BPF_REG_1, 0, drop);
  a.jump(BPF_JGT, BPF_REG_2, 1, drop);
  a.jump(handshake);
  a.place(known);
  a.jump(BPF_JEQ, BPF_REG_1, 0, stray);
  a.jump(BPF_JGT, BPF_REG_2, 1, stray);
  a.place(handshake);
  passWithin(offsetof(State, handshakes), limits.handshakes);
  a.place(other);
  time();
  a.place(stray);
  passWithin(offsetof(State, others), limits.others);

  a.place(pass);
  a.set(BPF_REG_0, INT32_MAX);
  a.add(BPF_JMP | BPF_EXIT, 0);
  a.place(drop);
  a.jump(BPF_JNE, BPF_REG_9, 0, dropSyn);
  count(offsetof(State, droppedOthers));
  a.place(dropSyn);
  count(offsetof(State, droppedSyns));
  return a;
}

/** Maps a BPF map into this process for as long as the object lives. */
class Mapped {
 public:
  explicit Mapped(int map) : at_(mmap(nullptr, mapBytes, PROT_READ | PROT_WRITE, MAP_SHARED, map, 0)) {
    error_ = at_ == MAP_FAILED ? errno : 0;
  }
  Mapped(const Mapped&) = delete;
  Mapped& operator=(const Mapped&) = delete;
  ~Mapped() {
    if (error_ == 0) munmap(at_, mapBytes);
  }
  int error() const { return error_; }
  uint8_t* marks() const { return static_cast<uint8_t*>(at_); }
  State& state() const { return *reinterpret_cast<State*>(marks() + markBytes); }

 private:
  void* at_;
  int error_;
};

}  // namespace

int32_t floodMapOpen(Environment& environment) {
  bpf_attr attributes{};
  attributes.map_type = BPF_MAP_TYPE_ARRAY;
  attributes.key_size = sizeof(uint32_t);
  attributes.value_size = 1 << blockBits;
  attributes.max_entries = blocks + 1;
  attributes.map_flags = BPF_F_MMAPABLE;
  return environment.own(static_cast<int>(syscall(SYS_bpf, BPF_MAP_CREATE, &attributes, sizeof attributes)));
}

int32_t floodFilterOpen(Environment& environment, int map, int spanBits, int handshakes, int others, int retryBits) {
  const auto isShift = [](int bits) { return bits >= 0 && bits < 64; };
  if (!isShift(spanBits) || !isShift(retryBits) || handshakes < 0 || others < 0) return -EINVAL;
  const int loaded = loadProgram(assemble(map, {spanBits, handshakes, others, retryBits}).program());
  return loaded < 0 ? loaded : environment.own(loaded);
}

int32_t tunFilter(Environment&, int fd, int program) {
  return ioctl(fd, TUNSETFILTEREBPF, &program) < 0 ? -errno : 0;
}

int32_t floodBegin(Environment&, int map) {
  const Mapped mapped(map);
  if (mapped.error() != 0) return -mapped.error();
  memset(mapped.marks(), 0, markBytes);
  State& state = mapped.state();
  state.synsTwice = 0;
  return getrandom(&state.key, sizeof state.key, 0) == sizeof state.key ? 0 : -errno;
}

int32_t floodSyns(Environment&, int map, int twice) {
  const Mapped mapped(map);
  if (mapped.error() != 0) return -mapped.error();
  mapped.state().synsTwice = twice != 0;
  return 0;
}

int32_t floodAdmit(Environment&, int map, Bytes tuples) {
  const Mapped mapped(map);
  if (mapped.error() != 0) return -mapped.error();
  struct Tuple {
    uint32_t family, ports, remote[4];
  } tuple;
  for (int64_t at = 0; at + static_cast<int64_t>(sizeof tuple) <= tuples.length; at += sizeof tuple) {
    memcpy(&tuple, tuples.data + at, sizeof tuple);
    uint64_t hash = mapped.state().key;
    for (int word = 0; word < (tuple.family == 6 ? 4 : 1); word++) hash = mix(hash, tuple.remote[word]);
    mapped.marks()[mix(hash, tuple.ports) % markBytes] = live;
  }
  return 0;
}

double floodDropped(Environment&, int map, int syns) {
  const Mapped mapped(map);
  if (mapped.error() != 0) return -mapped.error();
  const State& state = mapped.state();
  return static_cast<double>(syns != 0 ? state.droppedSyns : state.droppedOthers);
}
