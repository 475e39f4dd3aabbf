#include "cli/environment.h"

#include <gmock/gmock.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <sstream>
#include <thread>

#include "cli/cli.h"
#include "core/fd.h"

namespace mooring::cli {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;
namespace fs = std::filesystem;

/// A unix socket in a folder of its own that answers one request with prepared bytes.
class OneAnswer {
 public:
  explicit OneAnswer(std::string answer) {
    std::string pattern = fs::temp_directory_path() / "mooring-cli-XXXXXX";
    folder_ = ::mkdtemp(pattern.data());
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, path().c_str(), sizeof address.sun_path - 1);
    listening_.reset(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    EXPECT_EQ(::bind(listening_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    EXPECT_EQ(::listen(listening_.get(), 1), 0);
    server_ = std::thread([this, text = std::move(answer)] { serve(text); });
  }
  ~OneAnswer() {
    end();
    fs::remove_all(folder_);
  }

  [[nodiscard]] std::string path() const { return folder_ / "admin.sock"; }
  /// What it was asked; it answers no more.
  [[nodiscard]] const std::string& asked() {
    end();
    return asked_;
  }

 private:
  void end() {
    // Wakes the server also when nobody came.
    (void)::shutdown(listening_.get(), SHUT_RDWR);
    if (server_.joinable()) server_.join();
  }

  void serve(const std::string& answer) {
    const UniqueFd client(::accept4(listening_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    char block[4096];
    while (client.valid() && asked_.find("\r\n\r\n") == std::string::npos) {
      const ssize_t got = ::read(client.get(), block, sizeof block);
      if (got <= 0) return;
      asked_.append(block, static_cast<std::size_t>(got));
    }
    if (client.valid()) (void)!::write(client.get(), answer.data(), answer.size());
  }

  fs::path folder_;
  UniqueFd listening_;
  std::thread server_;
  std::string asked_;
};

TEST(RealEnvironment, AsksTheAgentOverItsSocket) {
  std::ostringstream out;
  std::ostringstream err;
  Environment environment = make_environment();
  environment.out = &out;
  environment.err = &err;
  OneAnswer agent(
      "HTTP/1.1 200 OK\r\nContent-Length: 14\r\nConnection: close\r\n\r\n{\"ready\":true}");
  const std::string socket = agent.path();
  const char* arguments[] = {"mooring", "--socket", socket.c_str(), "status", "--json"};
  EXPECT_EQ(run(5, arguments, environment), 0) << err.str();
  EXPECT_EQ(out.str(), "{\"ready\":true}");
  EXPECT_THAT(agent.asked(), StartsWith("GET /status HTTP/1.1\r\n"));
}

TEST(RealEnvironment, AMissingAgentAndHelperAre69) {
  std::ostringstream out;
  std::ostringstream err;
  Environment environment = make_environment();
  environment.out = &out;
  environment.err = &err;
  const char* status[] = {"mooring", "--socket", "/nonexistent/admin.sock", "status"};
  EXPECT_EQ(run(4, status, environment), 69);
  EXPECT_THAT(err.str(), HasSubstr("Is mooringd running?"));
  environment.load_config = [](const std::string&) {
    config::AgentConfig config;
    config.capture.helper_socket = "/nonexistent/net.sock";
    return tl::expected<config::AgentConfig, std::vector<Diagnostic>>(config);
  };
  const char* capture[] = {"mooring", "capture", "status"};
  EXPECT_EQ(run(3, capture, environment), 69);
}

TEST(RealEnvironment, PlansWithoutTouchingTheHost) {
  capture_client::InterceptConfig wanted;
  wanted.inbound.push_back({5432, capture_client::OnAgentDeath::closed});
  const auto text = make_environment().capture_plan(wanted, "nft inet");
  ASSERT_TRUE(text) << describe(text.error());
  EXPECT_THAT(*text, HasSubstr("tcp dport { 5432 }"));
  EXPECT_THAT(*text, HasSubstr("15006"));
  EXPECT_THAT(*make_environment().capture_plan(wanted, "iptables-legacy"),
              HasSubstr("iptables-legacy-restore"));
}

}  // namespace
}  // namespace mooring::cli
