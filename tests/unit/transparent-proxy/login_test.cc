#include "transparent-proxy/helper/login.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <map>

#include "core/fd.h"

namespace mooring::transparent_proxy {
namespace {

using testing::HasSubstr;

constexpr std::uint64_t kCapture = 1000;
constexpr std::uint64_t kBefore = 900;
constexpr std::uint64_t kAfter = 1100;

using Processes = std::map<pid_t, ProcessFacts>;

Checked<void> check(const Processes& processes, pid_t pid) {
  return check_login(pid, kCapture, [&](pid_t wanted) -> std::optional<ProcessFacts> {
    const auto at = processes.find(wanted);
    if (at == processes.end()) return std::nullopt;
    return at->second;
  });
}

// sshd (100) has a process for the connection (200), that has a shell (300); the command is 400.
Processes ssh(std::uint64_t connection, std::uint64_t shell) {
  return {{1, {"systemd", 0, 1, false, 1}},
          {100, {"sshd", 1, 100, false, 10}},
          {200, {"sshd", 100, 200, false, connection}},
          {300, {"bash", 200, 300, true, shell}},
          {400, {"mooring", 300, 300, true, 2000}}};
}

TEST(Login, IsFreshWhenItsConnectionIs) {
  EXPECT_TRUE(check(ssh(kAfter, kAfter), 400));
}

TEST(Login, OfBeforeIsRefused) {
  const auto refused = check(ssh(kBefore, kBefore), 400);
  ASSERT_FALSE(refused);
  EXPECT_THAT(describe(refused.error()), HasSubstr("this login began before capture"));
}

TEST(Login, ThroughAConnectionOfBeforeIsRefused) {
  const auto refused = check(ssh(kBefore, kAfter), 400);
  ASSERT_FALSE(refused);
  EXPECT_THAT(describe(refused.error()), HasSubstr("\"sshd\", which began before capture"));
}

TEST(Login, OfTheVerySameMomentIsRefused) {
  EXPECT_FALSE(check(ssh(kAfter, kCapture), 400));
}

TEST(Login, IsTheOutermostTerminalNotTheOneOfSudo) {
  Processes processes = ssh(kBefore, kBefore);
  processes[400] = {"sudo", 300, 300, true, kAfter};
  processes[500] = {"mooring", 400, 500, true, kAfter};  // sudo gave it a terminal and a session
  EXPECT_FALSE(check(processes, 500));
}

TEST(Login, InANewWindowOfAnOldMultiplexerIsRefused) {
  const Processes processes = {{200, {"tmux: server", 1, 200, false, kBefore}},
                               {300, {"bash", 200, 300, true, kAfter}},
                               {400, {"mooring", 300, 300, true, kAfter}}};
  EXPECT_FALSE(check(processes, 400));
}

TEST(Login, OnTheConsoleIsFreshAlthoughGettyWaitedThere) {
  const Processes processes = {{200, {"login", 1, 200, false, kBefore}},
                               {300, {"bash", 200, 300, true, kAfter}},
                               {400, {"mooring", 300, 300, true, kAfter}}};
  EXPECT_TRUE(check(processes, 400));
}

TEST(Login, WithoutATerminalIsItsSession) {
  Processes processes = ssh(kAfter, kAfter);
  processes[300].has_terminal = processes[400].has_terminal = false;
  EXPECT_TRUE(check(processes, 400));
  processes[200].began = kBefore;
  EXPECT_FALSE(check(processes, 400));
}

TEST(Login, ThatCannotBeSeenIsRefused) {
  EXPECT_FALSE(check({}, 400));
  EXPECT_FALSE(check({{400, {"mooring", 300, 400, false, kAfter}}}, 400));
}

TEST(Login, ReadsWhatTheKernelSays) {
  const auto facts = parse_process_stat(
      "4242 (a (b) c) S 4241 4242 4200 34816 4242 4194304 1 2 3 4 5 6 7 8 20 0 1 0 987654 1 2 3\n");
  ASSERT_TRUE(facts);
  EXPECT_EQ(*facts, (ProcessFacts{"a (b) c", 4241, 4200, true, 987654}));
  EXPECT_FALSE(parse_process_stat(""));
  EXPECT_FALSE(parse_process_stat("1 (x"));
  EXPECT_FALSE(parse_process_stat("1 (x) S 1 2"));
}

TEST(Login, ThisProcessBeganBeforeNow) {
  const UniqueFd processes(::open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  const auto facts = ProcessReader(-1)(::getpid());
  EXPECT_EQ(ProcessReader(processes.get())(::getpid()), facts);
  ASSERT_TRUE(facts);
  EXPECT_EQ(facts->parent, ::getppid());
  EXPECT_GT(facts->began, 0U);
  EXPECT_LE(facts->began, ticks_since_boot());
}

}  // namespace
}  // namespace mooring::transparent_proxy
