#include "admin/server.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <filesystem>
#include <thread>
#include <vector>

#include "admin/client.h"
#include "admin/listen.h"
#include "core/file.h"

namespace mooring::admin {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

constexpr std::string_view kGetReady = "GET /ready HTTP/1.1\r\nHost: x\r\n\r\n";

/// A server on a loop; the clients of a test run beside it on a thread of their own.
class AdminServer : public ::testing::Test {
 protected:
  AdminServer() {
    std::string pattern = (fs::temp_directory_path() / "mooring-admin.XXXXXX").string();
    folder_ = ::mkdtemp(pattern.data());
    path_ = folder_ + "/admin.sock";
  }
  ~AdminServer() override { fs::remove_all(folder_); }

  void run(const ServerOptions& options, const std::function<void()>& clients) {
    Loop loop;
    Wakeup done(loop, [&loop] { loop.stop(); });
    {
      Server server(loop, handlers_, options);
      server.add_socket(listen_unix(path_).value());
      UniqueFd tcp = listen_tcp({*parse_ip("127.0.0.1"), 0}).value();
      sockaddr_in bound{};
      socklen_t size = sizeof bound;
      ASSERT_EQ(::getsockname(tcp.get(), reinterpret_cast<sockaddr*>(&bound), &size), 0);
      port_ = ntohs(bound.sin_port);
      server.add_metrics(std::move(tcp));
      std::thread beside([&] {
        clients();
        done.notify();
      });
      loop.run();
      beside.join();
    }
  }

  [[nodiscard]] UniqueFd connect_unix() const {
    UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path_.c_str(), path_.size() + 1);
    EXPECT_EQ(::connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    return fd;
  }

  [[nodiscard]] UniqueFd connect_tcp() const {
    UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_storage address{};
    const socklen_t size = SocketAddress{*parse_ip("127.0.0.1"), port_}.to_sockaddr(address);
    EXPECT_EQ(::connect(fd.get(), reinterpret_cast<sockaddr*>(&address), size), 0);
    return fd;
  }

  Handlers handlers_{.ready = [] { return Readiness{true, ""}; },
                     .metrics = [] { return std::string("up 1\n"); },
                     .status = [] { return std::string("{\"ready\":true}"); },
                     .drain = [] { return json_response("{}"); }};
  std::string folder_;
  std::string path_;
  std::uint16_t port_ = 0;
};

void send_text(const UniqueFd& fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t put = ::send(fd.get(), text.data(), text.size(), MSG_NOSIGNAL);
    if (put <= 0) return;  // refused half-way; the answer is what the test looks at
    text.remove_prefix(static_cast<std::size_t>(put));
  }
}

/// Until the server ends the connection.
std::string receive_all(const UniqueFd& fd) {
  std::string text;
  char block[4096];
  for (ssize_t got; (got = ::recv(fd.get(), block, sizeof block, 0)) > 0;) {
    text.append(block, static_cast<std::size_t>(got));
  }
  return text;
}

std::string exchange(const UniqueFd& fd, std::string_view text) {
  send_text(fd, text);
  ::shutdown(fd.get(), SHUT_WR);
  return receive_all(fd);
}

TEST_F(AdminServer, AnswersTheClientOverTheSocket) {
  run({}, [&] {
    const Result<http::Response> status = request(path_, "GET", "/status");
    ASSERT_TRUE(status) << describe(status.error());
    EXPECT_EQ(status->status, 200);
    EXPECT_EQ(status->body, "{\"ready\":true}");
    EXPECT_EQ(request(path_, "GET", "/nothing").value().status, 404);
    EXPECT_EQ(request(path_, "HEAD", "/status").value().body, "");
    EXPECT_EQ(request(path_, "POST", "/drain").value().status, 200);
  });
}

TEST_F(AdminServer, WaitsForOthersWithoutKeepingAnybodyElseWaiting) {
  std::function<void()> then;
  std::atomic<int> asked = 0;
  handlers_.before_status = [&](std::function<void()> done) {
    ++asked;
    then = std::move(done);
  };
  handlers_.ready = [&]() -> Readiness {
    if (then) std::exchange(then, nullptr)();  // on the loop, between two requests
    return {true, ""};
  };
  run({}, [&] {
    const UniqueFd waits = connect_unix();
    send_text(waits,
              "GET /status HTTP/1.1\r\nHost: x\r\n\r\nGET /ready HTTP/1.1\r\nHost: x\r\n"
              "Connection: close\r\n\r\n");
    std::size_t tries = 0;  // until the server has read the first
    while (request(path_, "GET", "/ready").value().status == 200 && asked == 0 && ++tries < 10000) {
    }
    request(path_, "GET", "/ready").value();
    const std::string answers = receive_all(waits);
    EXPECT_THAT(answers, HasSubstr("{\"ready\":true}"));
    EXPECT_THAT(answers, HasSubstr("LIVE"));
    EXPECT_LT(answers.find("{\"ready\""), answers.find("LIVE"));
  });
  EXPECT_EQ(asked.load(), 1);
}

TEST_F(AdminServer, ForgetsAClientThatWentWhileItWaited) {
  std::vector<std::function<void()>> then;
  handlers_.before_status = [&](std::function<void()> done) { then.push_back(std::move(done)); };
  run({.deadline = Milliseconds(50)}, [&] {
    const UniqueFd waits = connect_unix();
    send_text(waits, "GET /status HTTP/1.1\r\nHost: x\r\n\r\n");
    EXPECT_EQ(receive_all(waits), "");
  });
  ASSERT_EQ(then.size(), 1U);
}

TEST_F(AdminServer, MakesItsSocketForOwnerAndGroupOnly) {
  const mode_t before = ::umask(0077);
  run({}, [&] {
    struct stat info{};
    ASSERT_EQ(::stat(path_.c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 0777U, 0660U);
  });
  ::umask(before);
}

TEST_F(AdminServer, ForbidsChangesToOtherUsers) {
  const uid_t somebody_else = ::geteuid() + 1;
  run({.privileged_uids = {somebody_else}}, [&] {
    const http::Response response = request(path_, "POST", "/drain").value();
    EXPECT_EQ(response.status, 403);
    EXPECT_THAT(response.body, HasSubstr("only root"));
    EXPECT_EQ(request(path_, "GET", "/status").value().status, 200);
  });
}

// The same with a process of another user, as the kernel sees it.
TEST_F(AdminServer, ForbidsChangesToAProcessOfAnotherUser) {
  if (::geteuid() != 0) GTEST_SKIP() << "NEEDS PRIVILEGE: cannot become another user";
  ASSERT_EQ(::chmod(folder_.c_str(), 0755), 0);
  run({}, [&] {
    ASSERT_EQ(::chmod(path_.c_str(), 0666), 0);
    const pid_t child = ::fork();
    if (child == 0) {
      if (::setresuid(65534, 65534, 65534) != 0) ::_exit(1);
      const Result<http::Response> response = request(path_, "POST", "/drain");
      ::_exit(response && response->status == 403 ? 0 : 2);
    }
    int outcome = -1;
    ASSERT_EQ(::waitpid(child, &outcome, 0), child);
    EXPECT_EQ(outcome, 0);
  });
}

TEST_F(AdminServer, ServesMetricsAndNothingElseOverTcp) {
  run({}, [&] {
    EXPECT_THAT(exchange(connect_tcp(), "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"),
                HasSubstr("\r\n\r\nup 1\n"));
    EXPECT_THAT(exchange(connect_tcp(), kGetReady), HasSubstr("LIVE"));
    EXPECT_THAT(exchange(connect_tcp(), "GET /status HTTP/1.1\r\nHost: x\r\n\r\n"),
                HasSubstr("HTTP/1.1 404"));
    EXPECT_THAT(
        exchange(connect_tcp(), "POST /drain HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"),
        HasSubstr("HTTP/1.1 404"));
  });
}

TEST_F(AdminServer, AnswersPipelinedRequestsInOrderOnOneConnection) {
  run({}, [&] {
    const std::string text =
        exchange(connect_unix(),
                 std::string(kGetReady) + "GET /status HTTP/1.1\r\nHost: x\r\n\r\n" +
                     "GET /none HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    const std::size_t first = text.find("LIVE");
    const std::size_t second = text.find("{\"ready\":true}");
    const std::size_t third = text.find("HTTP/1.1 404");
    EXPECT_LT(first, second);
    EXPECT_LT(second, third);
    EXPECT_NE(third, std::string::npos);
  });
}

TEST_F(AdminServer, RefusesGarbageATooLongHeadAndATooLongBodyWithAnAnswer) {
  run({}, [&] {
    EXPECT_THAT(exchange(connect_tcp(), "\x16\x03\x01\x02\x00 TLS"), HasSubstr("HTTP/1.1 400"));
    EXPECT_THAT(exchange(connect_tcp(), std::string(100000, 'A')), HasSubstr("HTTP/1.1 431"));
    EXPECT_THAT(exchange(connect_unix(), "GET / HTTP/1.1\r\nX: " + std::string(300000, 'a')),
                HasSubstr("HTTP/1.1 431"));
    EXPECT_THAT(exchange(connect_unix(),
                         "POST /drain HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n" +
                             std::string(100000, 'a')),
                HasSubstr("HTTP/1.1 413"));
    EXPECT_THAT(exchange(connect_tcp(), kGetReady), HasSubstr("LIVE"));
  });
}

TEST_F(AdminServer, EndsAClientThatSendsOrReadsTooSlowly) {
  handlers_.metrics = [] { return std::string(8 * 1024 * 1024, 'm'); };
  run({.deadline = Milliseconds(50)}, [&] {
    const UniqueFd silent = connect_unix();
    const UniqueFd half = connect_unix();
    send_text(half, "GET /ready HT");
    const UniqueFd reader = connect_unix();  // asks, and reads nothing for now
    send_text(reader, "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
    EXPECT_EQ(receive_all(silent), "");
    EXPECT_EQ(receive_all(half), "");
    // Both deadlines have passed, and the reader's came no later than theirs by more than its
    // request took.
    EXPECT_EQ(receive_all(connect_unix()), "");
    EXPECT_LT(receive_all(reader).size(), 8U * 1024 * 1024);
    EXPECT_EQ(request(path_, "GET", "/ready").value().status, 200);
  });
}

TEST_F(AdminServer, WritesALargeAnswerToAClientThatReadsInPieces) {
  handlers_.metrics = [] { return std::string(8 * 1024 * 1024, 'm') + "end"; };
  run({}, [&] {
    const http::Response response = request(path_, "GET", "/metrics").value();
    EXPECT_EQ(response.body.size(), 8U * 1024 * 1024 + 3);
    EXPECT_TRUE(response.body.ends_with("mend"));
  });
}

TEST_F(AdminServer, KeepsPlaceForRootWhenConnectionsRunOut) {
  run({.max_connections = 4, .reserved_connections = 1, .privileged_uids = {::geteuid()}}, [&] {
    std::vector<UniqueFd> scrapers;
    for (int i = 0; i < 4; ++i) {
      scrapers.push_back(connect_tcp());
      send_text(scrapers.back(), kGetReady);
      char first = 0;
      ASSERT_EQ(::recv(scrapers.back().get(), &first, 1, 0), 1);  // served, and kept open
    }
    EXPECT_THAT(receive_all(connect_tcp()), HasSubstr("HTTP/1.1 503"));
    std::vector<UniqueFd> idle;
    for (int i = 0; i < 4; ++i)
      idle.push_back(connect_unix());
    EXPECT_EQ(request(path_, "GET", "/ready").value().status, 200);  // the reserved one
    scrapers.clear();
  });
}

TEST_F(AdminServer, OutlivesAStormOfConnections) {
  run({}, [&] {
    // Not over TCP: there a full queue costs the client a retransmission of a second each time.
    for (int round = 0; round < 20; ++round) {
      std::vector<UniqueFd> many;
      for (int i = 0; i < 60; ++i)
        many.push_back(connect_unix());
      for (const UniqueFd& fd : many)
        send_text(fd, "GET /re");
    }
    // The last ones may still be on their way out.
    while (exchange(connect_unix(), kGetReady).find("LIVE") == std::string::npos)
      std::this_thread::yield();
  });
}

TEST_F(AdminServer, GoesOnWhenDescriptorsWereOut) {
  run({}, [&] {
    const UniqueFd client(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    rlimit before{};
    ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
    rlimit none = before;
    none.rlim_cur = 3;
    ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &none), 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path_.c_str(), path_.size() + 1);
    ASSERT_EQ(::connect(client.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    send_text(client, kGetReady);
    timeval wait{0, 50000};  // longer than a loop's turn; accepting must have been tried
    ASSERT_EQ(::setsockopt(client.get(), SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait), 0);
    char first = 0;
    EXPECT_EQ(::recv(client.get(), &first, 1, 0), -1);
    ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
    wait = {10, 0};
    ASSERT_EQ(::setsockopt(client.get(), SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait), 0);
    EXPECT_EQ(::recv(client.get(), &first, 1, 0), 1);
  });
}

TEST_F(AdminServer, ReplacesADeadSocketButNotALivingOneAndNoFile) {
  {
    const UniqueFd dead = listen_unix(path_).value();
  }
  EXPECT_TRUE(fs::exists(path_));
  const Result<UniqueFd> living = listen_unix(path_);
  ASSERT_TRUE(living);
  EXPECT_EQ(listen_unix(path_).error().code, Errc::conflict);
  ASSERT_TRUE(write_file_atomically(folder_ + "/file", "x", 0600));
  EXPECT_EQ(listen_unix(folder_ + "/file").error().code, Errc::conflict);
  EXPECT_EQ(listen_unix(folder_ + "/" + std::string(200, 'a')).error().code, Errc::too_large);
}

TEST_F(AdminServer, ClientNamesWhatIsWrong) {
  EXPECT_EQ(request(path_, "GET", "/ready").error().code, Errc::not_found);
  EXPECT_EQ(request(path_, "GET", "/a b").error().code, Errc::bad_input);
  EXPECT_EQ(request(path_, "GET", "/a\r\nX: y").error().code, Errc::bad_input);
  const UniqueFd silent = listen_unix(path_).value();
  EXPECT_EQ(request(path_, "GET", "/ready", Milliseconds(20)).error().code, Errc::timed_out);
}

}  // namespace
}  // namespace mooring::admin
