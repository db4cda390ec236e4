#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <memory>

#include "exports.h"
#include "scoped_descriptor.h"

namespace {

/** Runs one ETHTOOL_* command: 0 or -errno. `data` begins with the command's number. */
int32_t ethtool(int socket, const Name& name, void* data) {
  ifreq request{};
  memcpy(request.ifr_name, name.text, IFNAMSIZ);
  request.ifr_data = static_cast<char*>(data);
  return ioctl(socket, SIOCETHTOOL, &request) < 0 ? -errno : 0;
}

/** A kernel structure, all zero, with `bytes` more behind it. */
template <typename Head>
std::unique_ptr<Head, decltype(&free)> withRoom(size_t bytes) {
  return {static_cast<Head*>(calloc(1, sizeof(Head) + bytes)), free};
}

}  // namespace

int32_t linkMangleId(Environment&, Name name) {
  ScopedDescriptor any(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (any < 0) return -errno;
  const auto sets = withRoom<ethtool_sset_info>(sizeof(uint32_t));
  sets->cmd = ETHTOOL_GSSET_INFO;
  sets->sset_mask = 1 << ETH_SS_FEATURES;
  if (const int32_t error = ethtool(any, name, sets.get())) return error;
  const uint32_t count = sets->data[0];

  // The number of a feature differs between kernels, its name does not.
  const auto names = withRoom<ethtool_gstrings>(size_t{count} * ETH_GSTRING_LEN);
  names->cmd = ETHTOOL_GSTRINGS;
  names->string_set = ETH_SS_FEATURES;
  names->len = count;
  if (const int32_t error = ethtool(any, name, names.get())) return error;
  uint32_t feature = 0;
  const auto nameOf = [&](uint32_t index) {
    return reinterpret_cast<const char*>(names->data + size_t{index} * ETH_GSTRING_LEN);
  };
  while (feature < names->len && strncmp(nameOf(feature), "tx-tcp-mangleid-segmentation", ETH_GSTRING_LEN) != 0) {
    feature++;
  }
  if (feature == names->len) return -EOPNOTSUPP;

  const uint32_t words = (names->len + 31) / 32;
  const auto set = withRoom<ethtool_sfeatures>(words * sizeof(ethtool_set_features_block));
  set->cmd = ETHTOOL_SFEATURES;
  set->size = words;
  set->features[feature / 32] = {1U << feature % 32, 1U << feature % 32};
  return ethtool(any, name, set.get());
}
