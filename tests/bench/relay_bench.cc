// What the data path costs: two workers over loopback, an application on each side. CPU is that of
// the whole process, the application's threads included.
#include <benchmark/benchmark.h>
#include <sys/socket.h>

#include <string>
#include <thread>
#include <vector>

#include "support/proxy_pair.h"

namespace mooring {
namespace {

/// Writes blocks of the argument's size through both agents.
void bulk(benchmark::State& state) {
  test::ProxyPair pair;
  pair.start();
  const UniqueFd caller = test::connect_to(pair.outbound_address_);
  const UniqueFd served = test::accept_on(pair.app_.get());
  std::thread reader([&] {
    std::vector<char> block(1U << 20U);
    while (::recv(served.get(), block.data(), block.size(), 0) > 0) {
    }
  });
  const std::string block(static_cast<std::size_t>(state.range(0)), 'x');
  for (auto _ : state)
    test::send_all(caller.get(), block);
  ::shutdown(caller.get(), SHUT_WR);
  reader.join();
  state.SetBytesProcessed(state.iterations() * state.range(0));
}
BENCHMARK(bulk)->Arg(256 * 1024)->MeasureProcessCPUTime()->UseRealTime();

/// A request and a response of 64 bytes.
void ping_pong(benchmark::State& state) {
  test::ProxyPair pair;
  pair.start();
  const UniqueFd caller = test::connect_to(pair.outbound_address_);
  const UniqueFd served = test::accept_on(pair.app_.get());
  std::thread echo([&] {
    char block[64];
    for (ssize_t got = 0; (got = ::recv(served.get(), block, sizeof block, 0)) > 0;)
      test::send_all(served.get(), {block, static_cast<std::size_t>(got)});
  });
  const std::string request(64, 'x');
  char answer[64];
  for (auto _ : state) {
    test::send_all(caller.get(), request);
    AGENT_CHECK(::recv(caller.get(), answer, sizeof answer, MSG_WAITALL) == sizeof answer);
  }
  ::shutdown(caller.get(), SHUT_WR);
  echo.join();
}
BENCHMARK(ping_pong)->MeasureProcessCPUTime()->UseRealTime();

/// A connection with a resumed session, one byte, and its orderly end.
void new_connection(benchmark::State& state) {
  test::ProxyPair pair;
  pair.start();
  for (auto _ : state) {
    const UniqueFd caller = test::connect_to(pair.outbound_address_);
    test::send_all(caller.get(), "x");
    ::shutdown(caller.get(), SHUT_WR);
    const UniqueFd served = test::accept_on(pair.app_.get());
    AGENT_CHECK(test::read_all(served.get()) == "x");
    ::shutdown(served.get(), SHUT_WR);
    AGENT_CHECK(test::read_all(caller.get()).empty());
  }
}
BENCHMARK(new_connection)->MeasureProcessCPUTime()->UseRealTime();

}  // namespace
}  // namespace mooring

BENCHMARK_MAIN();
