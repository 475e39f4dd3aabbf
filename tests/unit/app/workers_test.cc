// Real worker threads, and one of them that does not turn any more.
#include "app/workers.h"

#include <gmock/gmock.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <map>

#include "app/watchdog.h"
#include "core/log.h"
#include "support.h"

namespace mooring::app {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

std::atomic<int> pipe_to_wait_on{-1};
std::atomic<int> hanging{0};

// Until somebody writes: what a loop that hangs in a system call looks like.
void hang(int) {
  char byte = 0;
  ++hanging;
  while (::read(pipe_to_wait_on.load(), &byte, 1) < 0 && errno == EINTR) {
  }
  --hanging;
}

/// By number; a sanitizer's thread may begin at any time.
std::vector<pid_t> threads_of_workers() {
  std::map<std::string, pid_t> found;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/task")) {
    std::string name;
    std::getline(std::ifstream(entry.path() / "comm"), name);
    if (name.starts_with("worker-")) found.emplace(name, std::stoi(entry.path().filename()));
  }
  std::vector<pid_t> in_order;
  for (const auto& [name, thread] : found)
    in_order.push_back(thread);
  return in_order;
}

class WorkersTest : public ::testing::Test {
 protected:
  void SetUp() override {
    log::set_level(log::Level::off);
    ASSERT_EQ(::pipe(pipe), 0);
    pipe_to_wait_on = pipe[0];
    struct sigaction action{};
    action.sa_handler = hang;
    ASSERT_EQ(::sigaction(SIGUSR2, &action, nullptr), 0);
    workers.emplace(loop, config_of(""), stats, nullptr);
    worker_threads = threads_of_workers();
  }
  void TearDown() override {
    for (; stalled > 0; --stalled)
      wake();
    workers.reset();
    ::close(pipe[0]);
    ::close(pipe[1]);
    log::set_level(log::Level::info);
  }
  void stall(std::size_t worker) {
    ++stalled;
    ASSERT_EQ(::syscall(SYS_tgkill, ::getpid(), worker_threads.at(worker), SIGUSR2), 0);
    ASSERT_TRUE(run_until(loop, [] { return hanging == 1; }));
  }
  void wake() const { ASSERT_EQ(::write(pipe[1], "x", 1), 1); }

  Loop loop;
  observe::StatsRegistry stats{2};
  std::optional<Workers> workers;
  std::vector<pid_t> worker_threads;
  int pipe[2] = {-1, -1};
  int stalled = 0;
};

TEST_F(WorkersTest, AllAnswerWhenTheyHaveTakenWhatWasSent) {
  bool all = false;
  workers->ping([&] { all = true; });
  EXPECT_FALSE(all);
  EXPECT_TRUE(run_until(loop, [&] { return all; }));
  EXPECT_THAT(workers->silent(), IsEmpty());
}

TEST_F(WorkersTest, AWorkerThatHangsIsNamedUntilItTurnsAgain) {
  ASSERT_EQ(worker_threads.size(), 2U);
  stall(1);
  bool all = false;
  workers->ping([&] { all = true; });
  ASSERT_TRUE(run_until(loop, [&] { return workers->silent().size() == 1; }));
  run_for(loop, Milliseconds{50});
  EXPECT_THAT(workers->silent(), ElementsAre(1U));
  EXPECT_FALSE(all);
  wake();
  --stalled;
  EXPECT_TRUE(run_until(loop, [&] { return all; }));
}

TEST_F(WorkersTest, TheWatchdogIsToldOnlyWhileEveryWorkerTurns) {
  int told = 0;
  Watchdog watchdog(loop, *workers, [&] { ++told; });
  watchdog.start(Milliseconds{80});
  ASSERT_TRUE(run_until(loop, [&] { return told >= 3; }));
  stall(0);
  // One answer may have been on its way.
  run_for(loop, Milliseconds{100});
  const int before = told;
  run_for(loop, Milliseconds{200});
  EXPECT_EQ(told, before);
  wake();
  --stalled;
  EXPECT_TRUE(run_until(loop, [&] { return told >= before + 3; }));
}

}  // namespace
}  // namespace mooring::app
