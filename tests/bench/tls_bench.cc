// What a connection costs in TLS: CPU of both sides in one process, without sockets, and bytes
// while idle.
#include <benchmark/benchmark.h>
#include <malloc.h>

#include <string>
#include <vector>

#include "support/pki.h"
#include "support/tls_pair.h"

namespace mooring {
namespace {

using test::TlsPair;

struct Bench {
  explicit Bench(tls::Parameters parameters = {}) {
    client = std::move(*tls::Context::make(tls::Role::client,
                                           ca.material("spiffe://mesh.test/web"),
                                           parameters,
                                           client_scratch,
                                           clock));
    server = std::move(*tls::Context::make(tls::Role::server,
                                           ca.material("spiffe://mesh.test/db"),
                                           parameters,
                                           server_scratch,
                                           clock));
  }
  TlsPair connect(std::string_view resume_key = "db") {
    TlsPair pair;
    pair.client.session = std::move(
        *client->make_client({.sni = "", .expected_peers = {}, .resume_key = resume_key}));
    pair.server.session = std::move(*server->make_server());
    pair.client.take(pair.client.session->start());
    AGENT_CHECK(pair.run());
    return pair;
  }

  test::TestCa ca{"mesh.test"};
  Clock clock;
  // Two workers, as client and server are two processes outside of a benchmark.
  tls::Scratch client_scratch;
  tls::Scratch server_scratch;
  std::unique_ptr<tls::Context> client;
  std::unique_ptr<tls::Context> server;
};

tls::Parameters without_resumption() {
  tls::Parameters parameters;
  parameters.resumption = false;
  return parameters;
}

void handshake_full(benchmark::State& state) {
  Bench bench(without_resumption());
  for (auto _ : state)
    benchmark::DoNotOptimize(bench.connect());
}
BENCHMARK(handshake_full);

void handshake_full_with_ticket(benchmark::State& state) {
  Bench bench;
  for (auto _ : state)
    benchmark::DoNotOptimize(bench.connect(""));
}
BENCHMARK(handshake_full_with_ticket);

void handshake_resumed(benchmark::State& state) {
  Bench bench;
  bench.connect();
  AGENT_CHECK(bench.connect().server.session->peer().resumed);
  for (auto _ : state)
    benchmark::DoNotOptimize(bench.connect());
}
BENCHMARK(handshake_resumed);

/// Encrypts and decrypts; the argument is the size of one write.
void bulk(benchmark::State& state) {
  Bench bench;
  TlsPair pair = bench.connect();
  const std::vector<std::byte> plain(static_cast<std::size_t>(state.range(0)));
  for (auto _ : state) {
    const tls::Step sent = pair.client.session->write(plain);
    const tls::Step got = pair.server.session->feed(sent.to_peer);
    AGENT_CHECK(got.plain.size() == plain.size());
  }
  state.SetBytesProcessed(state.iterations() * state.range(0));
}
BENCHMARK(bulk)->Arg(64)->Arg(1024)->Arg(16 * 1024)->Arg(64 * 1024)->Arg(256 * 1024);

/// Bytes that the allocator has given out for one idle pair, both sides.
void idle_bytes(benchmark::State& state, const tls::Parameters& parameters) {
  constexpr std::size_t kPairs = 500;
  for (auto _ : state) {
    Bench bench(parameters);
    bench.connect();
    std::vector<TlsPair> pairs;
    pairs.reserve(kPairs);
    const std::size_t before = mallinfo2().uordblks;
    for (std::size_t i = 0; i < kPairs; ++i)
      pairs.push_back(bench.connect());
    state.counters["bytes_per_pair"] = static_cast<double>(mallinfo2().uordblks - before) / kPairs;
  }
}
BENCHMARK_CAPTURE(idle_bytes, full, without_resumption())->Iterations(1);
BENCHMARK_CAPTURE(idle_bytes, resumed, tls::Parameters{})->Iterations(1);

}  // namespace
}  // namespace mooring

BENCHMARK_MAIN();
