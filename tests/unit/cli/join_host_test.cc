#include "cli/join_host.h"

#include <gmock/gmock.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "config/load.h"
#include "core/file.h"

namespace mooring::cli {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using transparent_proxy::TcpEntry;
namespace fs = std::filesystem;

constexpr std::uint8_t kListening = 10;
constexpr std::uint8_t kEstablished = 1;

TcpEntry entry(const char* local, std::uint8_t state = kListening) {
  TcpEntry is;
  is.local = *parse_socket_address(local);
  is.state = state;
  is.uid = 4242424;
  return is;
}

config::AgentConfig joined(std::string_view more) {
  auto parsed = config::parse({{"agent.toml",
                                "[control_plane]\naddresses = [\"https://cp.test\"]\n"
                                "ca_file = \"/ca\"\ntoken_file = \"/token\"\n" +
                                    std::string(more)}});
  return parsed ? *parsed : config::AgentConfig{};
}

app::Dataplane dataplane() {
  app::Dataplane is;
  is.address = *parse_ip("10.0.0.5");
  is.inbound = {{"web", 8080, *parse_socket_address("10.0.0.5:8080"), "tcp"}};
  return is;
}

std::string conflict(std::string_view more, std::vector<TcpEntry> entries) {
  const auto found = find_conflict(ports_of(joined(more), dataplane()), entries);
  return found ? describe(*found) : "";
}

TEST(PortConflict, IsNamedWithItsOwner) {
  constexpr std::string_view kCaptures = "[capture]\nenabled = true\n";
  EXPECT_EQ(conflict(kCaptures, {entry("0.0.0.0:15006")}),
            "capture.inbound_port: port 15006 is taken: a program of user uid 4242424 listens on "
            "0.0.0.0:15006 (set another port in agent.toml; ss -ltnp 'sport = :15006' names the "
            "program)");
  EXPECT_THAT(conflict(kCaptures, {entry("127.0.0.1:15001")}), HasSubstr("capture.outbound_port"));
  EXPECT_THAT(conflict(kCaptures, {entry("[::]:9902")}), HasSubstr("control_plane.readiness_port"));
  EXPECT_THAT(conflict(kCaptures, {entry("10.0.0.5:9901")}), HasSubstr("control_plane.admin_port"));
  EXPECT_THAT(conflict(kCaptures, {entry("0.0.0.0:15090")}), HasSubstr("admin.metrics"));
}

TEST(PortConflict, OtherAddressesAndConnectionsAreNone) {
  EXPECT_EQ(conflict("[capture]\nenabled = true\n",
                     {entry("10.0.0.6:9901"),
                      entry("10.0.0.5:9902"),
                      entry("0.0.0.0:8080"),
                      entry("127.0.0.1:9902", kEstablished)}),
            "");
}

TEST(PortConflict, WithoutCaptureTheApplicationMayNotListenWhereTheAgentWill) {
  EXPECT_THAT(conflict("", {entry("0.0.0.0:8080")}),
              HasSubstr("let the application listen on 127.0.0.1"));
  EXPECT_EQ(conflict("", {entry("127.0.0.1:8080"), entry("0.0.0.0:15006")}), "");
}

class JoinFiles : public ::testing::Test {
 protected:
  JoinFiles() {
    std::string pattern = fs::temp_directory_path() / "mooring-join-XXXXXX";
    folder_ = ::mkdtemp(pattern.data());
    fs::create_directories(folder_ / "conf.d");
  }
  ~JoinFiles() override { fs::remove_all(folder_); }

  [[nodiscard]] JoinPaths paths() const { return JoinPaths(folder_ / "agent.toml"); }
  void put(const std::string& path, std::string_view text) { std::ofstream(path) << text; }
  [[nodiscard]] static std::string get(const std::string& path) {
    return read_file(path, 1 << 20).value_or("absent");
  }
  [[nodiscard]] std::vector<PlannedFile> planned() const {
    std::vector<PlannedFile> files(3);
    files[0] = {paths().token_file, "secret\n"};
    files[1] = {paths().bounds, std::string(kWrittenByJoin) + ": new\n", 0644};
    files[2] = {paths().settings, std::string(kWrittenByJoin) + "\n"};
    files[1].is_restored = files[2].is_restored = true;
    compare_with_host(files);
    return files;
  }

  fs::path folder_;
};

TEST_F(JoinFiles, AreWrittenOnceAndTakenAwayAgain) {
  if (::geteuid() != 0) GTEST_SKIP() << "files that belong to root need root";
  const std::string before = "[inbound]\nports = [1]\n";
  put(paths().bounds, before);
  auto files = planned();
  EXPECT_EQ(files[0].action, PlannedFile::Action::create);
  EXPECT_EQ(files[1].action, PlannedFile::Action::replace);
  ASSERT_TRUE(write_files(files));
  EXPECT_EQ(get(paths().token_file), "secret\n");
  EXPECT_EQ(fs::status(paths().token_file).permissions(), static_cast<fs::perms>(0640));
  EXPECT_EQ(fs::status(paths().folder).permissions(), static_cast<fs::perms>(0750));
  EXPECT_EQ(get(paths().bounds + ".before-join"), before);

  files = planned();
  for (const PlannedFile& file : files)
    EXPECT_EQ(file.action, PlannedFile::Action::keep) << file.path;
  put(paths().bounds, std::string(kWrittenByJoin) + ": older\n");
  ASSERT_TRUE(write_files(planned()));
  EXPECT_EQ(get(paths().bounds + ".before-join"), before);  // not join's own

  put(paths().token_file, "older\n");
  ASSERT_TRUE(write_files(planned()));
  EXPECT_FALSE(
      fs::exists(paths().token_file + ".before-join"));  // a secret, and nobody's but join's

  const auto gone = remove_files(paths());
  ASSERT_TRUE(gone);
  EXPECT_THAT(*gone, ElementsAre(paths().settings, paths().bounds, paths().token_file));
  EXPECT_EQ(get(paths().bounds), before);
  EXPECT_FALSE(fs::exists(paths().settings));
  EXPECT_FALSE(fs::exists(paths().folder));
}

TEST_F(JoinFiles, WhatAnAdminWroteStays) {
  put(paths().config_file, "[host]\n");
  put(paths().settings, "# mine\n");
  ASSERT_TRUE(remove_files(paths()));
  EXPECT_EQ(get(paths().config_file), "[host]\n");
  EXPECT_EQ(get(paths().settings), "# mine\n");
}

}  // namespace
}  // namespace mooring::cli
