#include "observe/log_sinks.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <filesystem>
#include <functional>
#include <thread>

#include "core/fd.h"
#include "core/file.h"
#include "tests/unit/observe/records.h"

namespace mooring::observe {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

class LogSinksTest : public testing::Test {
 protected:
  LogSinksTest() {
    std::string pattern = (fs::temp_directory_path() / "mooring-sinks.XXXXXX").string();
    folder_ = ::mkdtemp(pattern.data());
  }
  ~LogSinksTest() override { fs::remove_all(folder_); }

  [[nodiscard]] std::string file(const std::string& name) const { return folder_ + "/" + name; }
  [[nodiscard]] std::string content(const std::string& name) const {
    return read_file(file(name), 1024 * 1024).value_or("unreadable");
  }
  void log(const LogSink& sink) {
    AccessRecord record = inbound_record();
    record.sinks = {sink};
    sinks_.add(record);
    sinks_.flush();
  }
  [[nodiscard]] std::string problem() {
    const auto list = sinks_.problems();
    return list.empty() ? "" : list.front().sink + ": " + list.front().text;
  }
  void flush_until(const std::function<bool()>& claim) {
    while (!claim()) {
      sinks_.flush();
      std::this_thread::yield();
    }
  }

  std::string folder_;
  LogSinks sinks_{4096, {fs::temp_directory_path().string() + "/mooring-sinks-own"}};
};

/// Takes one connection on a loopback port.
class Collector {
 public:
  Collector() : listening_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    bind(0);
    ::listen(listening_.get(), 4);
  }
  [[nodiscard]] SocketAddress address() const {
    sockaddr_storage name{};
    socklen_t size = sizeof name;
    ::getsockname(listening_.get(), reinterpret_cast<sockaddr*>(&name), &size);
    return *SocketAddress::from_sockaddr(name);
  }
  [[nodiscard]] LogSink sink(const std::string& message) const {
    return {"/run/kuma-al-web-default.sock",
            "",
            R"({"address":")" + address().to_string() + R"(","message":)" + message + "}",
            false};
  }
  [[nodiscard]] std::string receive() {
    if (!taken_.valid()) taken_ = UniqueFd(::accept(listening_.get(), nullptr, nullptr));
    std::array<char, 4096> buffer{};
    const auto count = ::recv(taken_.get(), buffer.data(), buffer.size(), 0);
    return {buffer.data(), static_cast<std::size_t>(std::max<ssize_t>(count, 0))};
  }
  void hang_up() { taken_.reset(); }

 private:
  void bind(std::uint16_t port) {
    sockaddr_storage name{};
    const socklen_t size = SocketAddress{IpAddress::v4_loopback(), port}.to_sockaddr(name);
    ::bind(listening_.get(), reinterpret_cast<const sockaddr*>(&name), size);
  }

  UniqueFd listening_;
  UniqueFd taken_;
};

TEST_F(LogSinksTest, AppendsALineOfTheSinksFormat) {
  log({file("a"), "%BYTES_SENT% %UPSTREAM_CLUSTER% %ROUTE_NAME%\n", "", false});
  log({file("a"), "%BYTES_SENT%[%ROUTE_NAME%]", "", true});
  EXPECT_EQ(content("a"), "22 local_db -\n22[]\n");
  EXPECT_EQ(sinks_.written(), 2U);
}

// Envoy 1.40's own lines for the same formats.
TEST_F(LogSinksTest, WritesJsonAsEnvoyDoes) {
  const std::string format =
      R"({"b":"%BYTES_SENT%","e":"","q":{"p":"%PROTOCOL%"},"flags":"%RESPONSE_FLAGS%",)"
      R"("mix":"x-%BYTES_SENT%-%ROUTE_NAME%","nest":{"z":"%PROTOCOL%","n":1,"t":true,"nil":null,)"
      R"("l":["%RESPONSE_CODE%","lit"]},"none":"%ROUTE_NAME%","pct":"%%","lit":"a \"q\""})";
  log({file("a"), "", format, false});
  EXPECT_EQ(content("a"),
            R"({"b":22,"e":"","flags":"-","lit":"a \"q\"","mix":"x-22--","nest":{"l":[0,"lit"],)"
            R"("n":1,"nil":null,"t":true,"z":null},"none":null,"pct":"%","q":{"p":null}})"
            "\n");
  log({file("b"), "", format, true});
  EXPECT_EQ(content("b"),
            R"({"b":22,"e":"","flags":"-","lit":"a \"q\"","mix":"x-22-","nest":{"l":[0,"lit"],)"
            R"("n":1,"t":true},"pct":"%"})"
            "\n");
}

TEST_F(LogSinksTest, HasEnvoysFormatWhereNoneIsGiven) {
  log({file("a"), "", "", false});
  EXPECT_EQ(content("a"),
            "[2026-09-21T14:13:20.123Z] \"- - -\" 0 - 11 22 250 - \"-\" \"-\" \"-\" \"-\" "
            "\"127.0.0.1:5432\"\n");
}

TEST_F(LogSinksTest, ReopensItsFilesForLogrotate) {
  const LogSink sink{file("a"), "line", "", false};
  log(sink);
  fs::rename(file("a"), file("a.1"));
  log(sink);
  sinks_.reopen();
  log(sink);
  EXPECT_EQ(content("a.1"), "line\nline\n");
  EXPECT_EQ(content("a"), "line\n");
}

TEST_F(LogSinksTest, SaysWhereItCannotWriteAndWritesWhenItCan) {
  const LogSink sink{file("missing/a"), "line", "", false};
  log(sink);
  EXPECT_THAT(problem(), HasSubstr("missing/a: not_found"));
  fs::create_directory(file("missing"));
  flush_until([this] { return sinks_.written() == 1; });
  EXPECT_EQ(content("missing/a"), "line\n");
  EXPECT_EQ(problem(), "");
}

TEST_F(LogSinksTest, HoldsABoundedNumberOfLinesAndCountsTheOthers) {
  for (int i = 0; i < 100; ++i)
    log({file("missing/a"), std::string(100, 'x'), "", false});
  EXPECT_EQ(sinks_.dropped(), 100U - 41U);  // 41 lines of 101 bytes pass 4,096
}

TEST_F(LogSinksTest, FollowsNoLinkAndLeavesTheAgentsOwnFilesAlone) {
  fs::create_symlink(file("target"), file("link"));
  log({file("link"), "line", "", false});
  EXPECT_THAT(problem(), HasSubstr("link: "));
  EXPECT_FALSE(fs::exists(file("target")));

  LogSinks guarded{4096, {folder_}};
  AccessRecord record = inbound_record();
  for (const std::string& path : {file("state"),
                                  file("../" + fs::path(folder_).filename().string() + "/state"),
                                  std::string("/proc/self/comm")}) {
    record.sinks = {{path, "line", "", false}};
    guarded.add(record);
  }
  guarded.flush();
  EXPECT_EQ(guarded.problems().size(), 3U);
  EXPECT_FALSE(fs::exists(file("state")));
}

TEST_F(LogSinksTest, SendsKumasTcpMessagesToTheirAddress) {
  Collector collector;
  log(collector.sink(R"("sent %BYTES_SENT%\n")"));
  flush_until([this] { return sinks_.written() == 1; });
  EXPECT_EQ(collector.receive(), "sent 22\n");
  log(collector.sink(R"({"a":"%BYTES_SENT%"})"));
  flush_until([this] { return sinks_.written() == 2; });
  EXPECT_EQ(collector.receive(), "{\"a\":22}\n");
}

TEST_F(LogSinksTest, ConnectsAgainWhenTheCollectorComesBack) {
  Collector collector;
  log(collector.sink(R"("one")"));
  flush_until([this] { return sinks_.written() == 1; });
  EXPECT_EQ(collector.receive(), "one\n");
  collector.hang_up();
  log(collector.sink(R"("two")"));
  flush_until([this] { return sinks_.written() == 2; });
  EXPECT_EQ(collector.receive(), "two\n");
}

TEST_F(LogSinksTest, NobodyBehindAnAddressIsSaid) {
  SocketAddress nobody;
  {
    Collector collector;
    nobody = collector.address();
  }
  const LogSink sink{"/run/kuma-al-web-default.sock",
                     "",
                     R"({"address":")" + nobody.to_string() + R"(","message":"m"})",
                     false};
  log(sink);
  flush_until([this] { return sinks_.failures() > 0; });
  EXPECT_THAT(problem(), HasSubstr("tcp:" + nobody.to_string() + ": refused"));
  EXPECT_TRUE(sinks_.retry_in());
}

LogSink tcp_sink(const std::string& address) {
  return {"/run/kuma-al-web-default.sock",
          "",
          R"({"address":")" + address + R"(","message":"m"})",
          false};
}

TEST_F(LogSinksTest, AHostNameIsAskedForAndThenTakesTheLines) {
  Collector collector;
  log(tcp_sink("logs.example:" + std::to_string(collector.address().port)));
  EXPECT_EQ(sinks_.next_wanted_host(), "logs.example");
  EXPECT_EQ(sinks_.next_wanted_host(), std::nullopt);
  EXPECT_TRUE(sinks_.retry_in());
  EXPECT_EQ(sinks_.written(), 0U);
  sinks_.tell({"logs.example", IpAddress::v4_loopback()});
  flush_until([this] { return sinks_.written() == 1; });
  EXPECT_EQ(collector.receive(), "m\n");
  EXPECT_EQ(sinks_.failures(), 0U);
}

TEST_F(LogSinksTest, AHostNameThatNobodyKnowsIsSaidAndAskedForAgain) {
  log(tcp_sink("nobody.invalid:9"));
  EXPECT_EQ(sinks_.next_wanted_host(), "nobody.invalid");
  sinks_.tell({"nobody.invalid", std::nullopt});
  flush_until([this] { return sinks_.failures() > 0; });
  EXPECT_THAT(problem(), HasSubstr("tcp:nobody.invalid:9: not_found"));
  flush_until([this] { return sinks_.next_wanted_host().has_value(); });
}

TEST(ParsedSink, NamesWhereLinesGo) {
  const auto name = [](const LogSink& sink) {
    const auto parsed = ParsedSink::parse(sink);
    return parsed ? parsed->name() : "";
  };
  EXPECT_EQ(name(tcp_sink("logs.example:514")), "tcp:logs.example:514");
  EXPECT_EQ(name(tcp_sink("10.0.0.1:514")), "tcp:10.0.0.1:514");
  EXPECT_EQ(name(tcp_sink("[fd00::1]:514")), "tcp:[fd00::1]:514");
  LogSink file = tcp_sink("10.0.0.1:514");  // only Kuma's FIFO has that meaning
  file.path = "/var/log/a";
  EXPECT_EQ(name(file), "/var/log/a");
}

TEST_F(LogSinksTest, AnAddressThatIsNoneIsSaid) {
  for (const char* address : {"", "name", "n\\u00e4me:2"}) {
    const auto failures = sinks_.failures();
    log(tcp_sink(address));
    flush_until([&] { return sinks_.failures() > failures; });
    EXPECT_THAT(problem(), HasSubstr("host and port")) << address;
  }
}

TEST(CheckSink, NamesWhatIsWrong) {
  const auto text = [](const LogSink& sink) {
    const auto checked = check_sink(sink);
    return checked ? "" : describe(checked.error());
  };
  EXPECT_THAT(text({"/a", "%NO_SUCH%", "", false}), HasSubstr("unknown command %NO_SUCH%"));
  EXPECT_THAT(text({"/a", "", R"({"a":["%NO_SUCH%"]})", false}), HasSubstr("%NO_SUCH%"));
  EXPECT_EQ(text(tcp_sink("name:1")), "");
}

}  // namespace
}  // namespace mooring::observe
