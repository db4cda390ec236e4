#pragma once

#include <cstdint>

/** Ones' complement sum of big-endian 16-bit words, folded to 16 bits and not inverted (RFC 1071). `data` may have any
 * alignment. */
uint32_t onesComplementSum(const uint8_t* data, int64_t length, uint32_t initial);

/** Adds the carries of a sum to it until it fits in 16 bits. */
inline uint32_t foldSum(uint64_t sum) {
  sum = (sum >> 32) + (sum & 0xffffffff);
  sum = (sum >> 32) + (sum & 0xffffffff);
  sum = (sum >> 16) + (sum & 0xffff);
  sum = (sum >> 16) + (sum & 0xffff);
  return static_cast<uint32_t>((sum >> 16) + (sum & 0xffff));
}
