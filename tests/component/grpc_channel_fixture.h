// A gRPC channel on a real loop, and tests/support/grpc_server.py as the process that it talks to.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "discovery/grpc_channel.h"
#include "support/pki.h"
#include "support/run_until.h"
#include "support/server_process.h"

namespace mooring::discovery {

inline Bytes bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text));
}

class Handler final : public GrpcHandler {
 public:
  void on_open() override {
    ++opens;
    if (act_on_open) act_on_open();
  }
  void on_message(Bytes message) override {
    messages.emplace_back(reinterpret_cast<const char*>(message.data()), message.size());
    if (act_on_message) act_on_message();
  }
  void on_end(const http::GrpcStatus& status) override {
    ends.push_back(status);
    if (act_on_end) act_on_end();
  }
  int opens = 0;
  std::vector<std::string> messages;
  std::vector<http::GrpcStatus> ends;
  std::function<void()> act_on_open;
  std::function<void()> act_on_message;
  std::function<void()> act_on_end;
};

/// tests/support/grpc_server.py as a process.
class Server : public test::ServerProcess {
 public:
  Server(const std::string& mode, const std::string& folder, const std::string& address = "")
      : ServerProcess("grpc_server.py", {mode, folder, address}) {}
};

class GrpcChannelTest : public testing::Test {
 public:
  GrpcChannelTest() {
    std::signal(SIGPIPE, SIG_IGN);
    std::string name = "/tmp/grpc_channel_XXXXXX";
    folder_ = ::mkdtemp(name.data());
    write_certificate({"DNS:localhost", "IP:127.0.0.1"});
    options_.ca_pem = ca_.cert_pem();
    // Short, so that the tests are. The other spans are long enough for a busy machine but where a
    // test waits for their end.
    options_.backoff_base = Milliseconds(100);
    options_.backoff_cap = Milliseconds(400);
  }
  ~GrpcChannelTest() override {
    call_.reset();
    channel_.reset();
    std::filesystem::remove_all(folder_);
  }

 protected:
  void write_certificate(std::vector<std::string> names) {
    test::CertOptions options;
    options.extra_names = std::move(names);
    const test::Issued issued = ca_.issue("", options);
    std::ofstream(folder_ + "/cert.pem") << issued.cert_pem;
    std::ofstream(folder_ + "/key.pem") << issued.key_pem;
  }
  void target(std::uint16_t port, const std::string& host = "127.0.0.1") {
    options_.targets.push_back({{host, port}, std::nullopt, ""});
  }
  void start() {
    call_.reset();  // before its channel
    channel_.reset();
    auto made = GrpcChannel::make(loop_, pool_, scratch_, clock_, options_);
    ASSERT_TRUE(made) << describe(made.error());
    channel_ = std::move(*made);
    channel_->start();
  }
  void open(const std::string& path, Metadata metadata = {}) {
    call_ = channel_->open(path, std::move(metadata), handler_);
  }
  /// A channel to that server, and a call of that method.
  void call(const Server& server, const std::string& method, Metadata metadata = {}) {
    target(server.port());
    start();
    open("/test.Echo/" + method, std::move(metadata));
  }
  /// Runs the loop until it holds; false after 20 s.
  bool until(const std::function<bool()>& holds) { return test::run_until(loop_, holds); }
  /// What the call ends with against a server of that mode.
  http::GrpcStatus end_of(const std::string& mode) {
    const Server server(mode, folder_);
    call(server, "Stream");
    handler_.act_on_open = [this] { call_->send(bytes_of("hello")); };
    EXPECT_TRUE(until([&] { return !handler_.ends.empty(); })) << mode;
    return handler_.ends.empty() ? http::GrpcStatus{} : handler_.ends.front();
  }
  /// That many connections fail, and the channel goes on trying.
  void expect_retries(const std::string& mode, const std::string& why) {
    const Server server(mode, folder_);
    call(server, "Stream");
    EXPECT_TRUE(until([&] { return channel_->state().failures >= 2; })) << mode;
    EXPECT_THAT(channel_->state().last_error, testing::HasSubstr(why));
    EXPECT_TRUE(handler_.messages.empty());
  }

  test::TestCa ca_{"cp.test"};
  std::string folder_;
  Clock clock_;
  tls::Scratch scratch_;
  net::StreamPool pool_;
  Loop loop_;
  GrpcChannelOptions options_;
  Handler handler_;
  std::unique_ptr<GrpcChannel> channel_;
  std::unique_ptr<GrpcCall> call_;
};

}  // namespace mooring::discovery
