#include "coverage.h"
#include "exports.h"
#include "poller.h"

namespace {

template <auto Function>
napi_property_descriptor entry(const char* name, Environment* environment) {
  return {name, nullptr, Binding<Function>::call, nullptr, nullptr, nullptr, napi_enumerable, environment};
}

Napi::Object initialize(Napi::Env env, Napi::Object exports) {
  auto* environment = new Environment(env);
  // Node.js deletes it with the environment, after the last callback.
  env.SetInstanceData(environment);

  const napi_property_descriptor entries[] = {
      entry<arenaOpen>("arenaOpen", environment),
      entry<arenaClose>("arenaClose", environment),
      entry<copy>("copy", environment),
      entry<moveBatch>("moveBatch", environment),
      entry<checksum>("checksum", environment),
      entry<clockNow>("clock", environment),
      entry<tunOpen>("tunOpen", environment),
      entry<tunAdopt>("tunAdopt", environment),
      entry<tunName>("tunName", environment),
      entry<tunHeaderSize>("tunHeaderSize", environment),
      entry<tunOffload>("tunOffload", environment),
      entry<tunSteer>("tunSteer", environment),
      entry<floodMapOpen>("floodMapOpen", environment),
      entry<floodFilterOpen>("floodFilterOpen", environment),
      entry<tunFilter>("tunFilter", environment),
      entry<floodBegin>("floodBegin", environment),
      entry<floodSyns>("floodSyns", environment),
      entry<floodAdmit>("floodAdmit", environment),
      entry<floodDropped>("floodDropped", environment),
      entry<pairOpen>("pairOpen", environment),
      entry<captureOpen>("captureOpen", environment),
      entry<sniffOpen>("sniffOpen", environment),
      entry<sniffRead>("sniffRead", environment),
      entry<linkUp>("linkUp", environment),
      entry<linkMangleId>("linkMangleId", environment),
      entry<netlinkOpen>("netlinkOpen", environment),
      entry<readOne>("read", environment),
      entry<writeOne>("write", environment),
      entry<readBatch>("readBatch", environment),
      entry<writeGather>("writeGather", environment),
      entry<writeSegments>("writeSegments", environment),
      entry<udpOpen>("udpOpen", environment),
      entry<udpBind>("udpBind", environment),
      entry<udpConnect>("udpConnect", environment),
      entry<udpDisconnect>("udpDisconnect", environment),
      entry<udpAddress>("udpAddress", environment),
      entry<udpPort>("udpPort", environment),
      entry<socketBuffers>("socketBuffers", environment),
      entry<udpReceive>("udpReceive", environment),
      entry<udpSend>("udpSend", environment),
      entry<interfaceIndex>("interfaceIndex", environment),
      entry<interfaceName>("interfaceName", environment),
      entry<eventOpen>("eventOpen", environment),
      entry<eventRing>("eventRing", environment),
      entry<eventDrain>("eventDrain", environment),
      entry<timerOpen>("timerOpen", environment),
      entry<timerSet>("timerSet", environment),
      entry<writeNow>("writeNow", environment),
      entry<exitAfter>("exitAfter", environment),
      entry<duplicate>("duplicate", environment),
      entry<closeDescriptor>("close", environment),
  };
  napi_define_properties(env, exports, std::size(entries), entries);
#ifdef FAKE_TCP_COVERAGE
  exports.Set("coverage", Napi::Function::New(env, coverage));
#endif
  exports.Set("Poller", Poller::define(env, *environment));
  return exports;
}

}  // namespace

NODE_API_MODULE(NODE_GYP_MODULE_NAME, initialize)
