// An xDS client on a real loop, and the test control plane as the process that it talks to.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include <nlohmann/json.hpp>

#include "core/address.h"
#include "discovery/refusing_listener.h"
#include "discovery/xds_client.h"
#include "support/run_until.h"
#include "support/server_process.h"

namespace mooring::discovery {

using nlohmann::json;

/// tests/control-plane/server.py, as tests/support/test_plane.py starts it.
class Plane {
 public:
  explicit Plane(std::string folder) : folder_(std::move(folder)) { start(); }

  void start() {
    std::filesystem::remove(folder_ + "/control.sock");
    std::vector<std::string> arguments{folder_};
    if (port_ != 0) arguments.push_back(std::to_string(port_));
    process_ = std::make_unique<test::ServerProcess>("test_plane.py", arguments);
    port_ = process_->port();
    if (port_ != 0) {
      EXPECT_EQ(process_->line(), "serving");
    }
  }
  void kill() { process_.reset(); }
  [[nodiscard]] std::uint16_t port() const { return port_; }
  [[nodiscard]] const test::ServerProcess& process() const { return *process_; }

  /// One command of server.py.
  json call(const std::string& command,
            const json& args = json::array(),
            json named = json::object()) const {
    const UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const auto address = *unix_address(folder_ + "/control.sock");
    EXPECT_EQ(::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    named["do"] = command;
    named["args"] = args;
    const std::string line = named.dump() + "\n";
    EXPECT_EQ(::write(fd.get(), line.data(), line.size()), static_cast<ssize_t>(line.size()));
    std::string answer;
    char block[65536];
    while (!answer.ends_with('\n')) {
      const ssize_t got = ::read(fd.get(), block, sizeof block);
      if (got <= 0) break;
      answer.append(block, static_cast<std::size_t>(got));
    }
    const json parsed = json::parse(answer, nullptr, false);
    EXPECT_TRUE(parsed.contains("result")) << command << ": " << answer;
    return parsed.value("result", json());
  }
  void set(const std::vector<json>& resources) const { call("set", {"default.web", resources}); }
  void update(const std::vector<json>& resources) const {
    call("update", {"default.web", resources});
  }
  void remove(const std::string& kind, const json& names) const {
    call("remove", {"default.web", kind, names});
  }
  void behave(const json& changes) const { call("behave", json::array(), changes); }
  /// Events of that sort, from the first one after `since` on.
  [[nodiscard]] std::vector<json> log(const std::string& event, std::uint64_t since = 0) const {
    std::vector<json> found;
    for (const json& each : call("log", {since}))
      if (each["event"] == event) found.push_back(each);
    return found;
  }
  [[nodiscard]] std::uint64_t mark() const {
    const json all = call("log");
    return all.empty() ? 0 : all.back()["number"].get<std::uint64_t>() + 1;
  }

 private:
  std::string folder_;
  std::uint16_t port_ = 0;
  std::unique_ptr<test::ServerProcess> process_;
};

// ---- resources, as tests/control-plane/resources.py makes them

inline const std::string kEnvoy = "type.googleapis.com/envoy.";

inline json address_json(const std::string& ip, int port) {
  return {{"socket_address", {{"address", ip}, {"port_value", port}}}};
}
inline json eds_cluster(const std::string& name) {
  return {{"@type", kEnvoy + "config.cluster.v3.Cluster"},
          {"name", name},
          {"type", "EDS"},
          {"connect_timeout", "5s"},
          {"eds_cluster_config",
           {{"eds_config", {{"ads", json::object()}, {"resource_api_version", "V3"}}}}}};
}
inline json endpoints(const std::string& name, int port) {
  return {{"@type", kEnvoy + "config.endpoint.v3.ClusterLoadAssignment"},
          {"cluster_name", name},
          {"endpoints",
           {{{"lb_endpoints", {{{"endpoint", {{"address", address_json("10.0.0.1", port)}}}}}}}}}};
}
inline json listener(const std::string& name, int port, const std::string& cluster) {
  const json proxy = {{"@type", kEnvoy + "extensions.filters.network.tcp_proxy.v3.TcpProxy"},
                      {"stat_prefix", name},
                      {"cluster", cluster}};
  return {{"@type", kEnvoy + "config.listener.v3.Listener"},
          {"name", name},
          {"address", address_json("127.0.0.1", port)},
          {"traffic_direction", "OUTBOUND"},
          {"filter_chains", {{{"filters", {{{"name", "tcp"}, {"typed_config", proxy}}}}}}}};
}
inline json raw(const std::string& type, const std::string& name, const std::string& base64) {
  return {{"@type", kEnvoy + type}, {"name", name}, {"raw", base64}};
}

class XdsClientTest : public testing::Test, public XdsClient::Owner {
 public:
  XdsClientTest() {
    std::signal(SIGPIPE, SIG_IGN);
    std::string name = "/tmp/xds_client_XXXXXX";
    folder_ = ::mkdtemp(name.data());
    plane_.emplace(folder_);
    options_.control_planes = {{"127.0.0.1", plane_->port()}};
    options_.ca_file = folder_ + "/ca.pem";
    options_.token_file = folder_ + "/token";
    options_.identity = identity("web");
    options_.last_good_file = folder_ + "/last-good";
    options_.machine_id = "0123456789abcdef0123456789abcdef";
    options_.store = {.decode =
                          [](ResourceKind kind, std::string_view id, std::string_view bytes) {
                            return decode(type_url(kind), id, bytes);
                          },
                      .refuse = make_refusing_listener};
    // Short, so that the tests are.
    options_.times.retry_base = Milliseconds(100);
    options_.times.retry_cap = Milliseconds(400);
    options_.times.refused_base = Milliseconds(300);
    options_.times.refused_cap = Milliseconds(600);
    options_.times.active_window = Milliseconds(200);
    options_.times.tick = Milliseconds(50);
    options_.times.save_after = Milliseconds(10);
    options_.times.save_every = Milliseconds(10);
  }
  void SetUp() override {
    if (plane_->port() == 0)
      GTEST_SKIP() << "packaging/dependencies.sh control-plane was not run: nothing is tested here";
  }
  ~XdsClientTest() override {
    client_.reset();
    plane_.reset();
    std::filesystem::remove_all(folder_);
  }

  void on_resources(const Store&, const Changes& changes) override {
    for (const ResourceKind kind : kResourceKinds)
      for (const std::string& name : changes.of(kind))
        changes_.push_back(std::string(to_string(kind)) + " " + name);
  }
  void on_state(const XdsState& state) override {
    if (phases_.empty() || phases_.back() != state.phase) phases_.push_back(state.phase);
  }

 protected:
  static BootstrapRequest identity(const std::string& workload) {
    const json dataplane = {{"type", "Dataplane"},
                            {"mesh", "default"},
                            {"name", "web"},
                            {"labels", {{"kuma.io/workload", workload}}},
                            {"networking", {{"address", "127.0.0.1"}}}};
    BootstrapRequest request;
    request.mesh = "default";
    request.name = "web";
    request.dataplane = dataplane.dump();
    return request;
  }
  void start() {
    client_ = std::make_unique<XdsClient>(loop_, pool_, scratch_, clock_, options_, *this);
    client_->start();
  }
  /// Runs the loop until it holds; false after 20 s.
  bool until(const std::function<bool()>& holds) { return test::run_until(loop_, holds); }
  void run_for(Milliseconds span) {
    Timer limit(loop_, [&] { loop_.stop(); });
    limit.start(span);
    loop_.run();
  }
  [[nodiscard]] bool is_settled() const {
    const json status = plane_->call("status");
    for (const json& stream : status["streams"])
      if (stream["node"] == "default.web" && stream["settled"].get<bool>()) return true;
    return false;
  }
  bool settle() {
    return until([&] { return is_settled(); });
  }
  [[nodiscard]] const snapshot::Resources& resources() const {
    return client_->store().resources();
  }
  [[nodiscard]] std::uint16_t endpoint_port(const std::string& name) const {
    for (const auto& list : resources().endpoints)
      if (list.name == name && !list.localities.empty())
        return list.localities[0].endpoints[0].address->port;
    return 0;
  }
  /// A mesh of one service, joined.
  void join() {
    plane_->set({eds_cluster("web"), endpoints("web", 80), listener("web", 8080, "web")});
    start();
    ASSERT_TRUE(settle()) << client_->state().problem;
  }

  std::string folder_;
  std::optional<Plane> plane_;
  Clock clock_;
  tls::Scratch scratch_;
  net::StreamPool pool_;
  Loop loop_;
  XdsOptions options_;
  std::unique_ptr<XdsClient> client_;
  std::vector<std::string> changes_;
  std::vector<XdsPhase> phases_;
};

}  // namespace mooring::discovery
