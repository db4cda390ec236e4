#include "checksum.h"

#include <bit>
#include <cstring>

uint32_t onesComplementSum(const uint8_t* data, int64_t length, uint32_t initial) {
  // A sum in the machine's byte order is the wanted one with its two bytes swapped. A 64-bit sum holds the carries of
  // 32-bit words of up to 16 GiB. Blocks of a fixed size let the compiler use vector additions.
  constexpr int64_t block = 64;
  uint64_t sum = 0;
  for (; length >= block; data += block, length -= block) {
    uint32_t words[block / 4];
    memcpy(words, data, block);
    for (const uint32_t word : words) sum += word;
  }
  for (; length >= 4; data += 4, length -= 4) {
    uint32_t word;
    memcpy(&word, data, 4);
    sum += word;
  }
  if (length > 0) {
    // Bytes past the end count as zero.
    uint32_t word = 0;
    memcpy(&word, data, length);
    sum += word;
  }
  uint32_t folded = foldSum(sum);
  if constexpr (std::endian::native == std::endian::little) folded = (folded & 0xff) << 8 | folded >> 8;
  return foldSum(static_cast<uint64_t>(folded) + initial);
}
