#include "environment.h"

#include <unistd.h>

#include <cerrno>

bool viewBytes(napi_env env, napi_value value, Memory& memory, napi_value* buffer) {
  napi_typedarray_type type;
  size_t length;
  void* data;
  if (napi_get_typedarray_info(env, value, &type, &length, &data, buffer, nullptr) != napi_ok) return false;
  if (type != napi_uint8_array) return false;
  memory = {static_cast<uint8_t*>(data), static_cast<int64_t>(length)};
  return true;
}

Environment::~Environment() {
  for (int fd : descriptors_) close(fd);
}

int32_t Environment::openArena(napi_value value) {
  Memory memory;
  napi_value buffer;
  if (!viewBytes(env, value, memory, &buffer)) return -1;
  // False for a SharedArrayBuffer, which never moves and never shrinks.
  bool isArrayBuffer;
  Arena arena;
  if (napi_is_arraybuffer(env, buffer, &isArrayBuffer) != napi_ok) return -1;
  if (napi_create_reference(env, value, 1, &arena.owner) != napi_ok) return -1;
  if (!isArrayBuffer) arena.shared = memory;
  arenas_.push_back(arena);
  return static_cast<int32_t>(arenas_.size() - 1);
}

bool Environment::closeArena(int64_t arena) {
  if (arena < 0 || arena >= static_cast<int64_t>(arenas_.size()) || !arenas_[arena].owner) return false;
  napi_delete_reference(env, arenas_[arena].owner);
  arenas_[arena] = {nullptr, {}};
  return true;
}

Memory Environment::arena(int64_t arena) const {
  if (arena < 0 || arena >= static_cast<int64_t>(arenas_.size())) return {};
  const Arena& found = arenas_[arena];
  if (found.shared.length >= 0 || !found.owner) return found.shared;
  Memory memory;
  napi_value owner;
  if (napi_get_reference_value(env, found.owner, &owner) == napi_ok) viewBytes(env, owner, memory);
  return memory;
}

int32_t Environment::own(int result) {
  if (result < 0) return -errno;
  descriptors_.insert(result);
  return result;
}

int32_t Environment::closeOwned(int fd) {
  if (descriptors_.erase(fd) == 0) return -EBADF;
  // Linux releases the descriptor even when close() fails, so nobody may try again.
  return close(fd) < 0 ? -errno : 0;
}
