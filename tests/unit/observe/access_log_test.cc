#include "observe/access_log.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <functional>
#include <sstream>
#include <thread>
#include <vector>

#include "core/fd.h"
#include "core/file.h"
#include "observe/why.h"
#include "tests/unit/observe/records.h"

namespace mooring::observe {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

/// A folder of the test's own, removed at its end.
class Folder {
 public:
  Folder() {
    std::string pattern = (fs::temp_directory_path() / "mooring-log.XXXXXX").string();
    path_ = ::mkdtemp(pattern.data());
  }
  ~Folder() { fs::remove_all(path_); }
  [[nodiscard]] std::string file(const std::string& name) const { return path_ + "/" + name; }
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  std::string path_;
};

std::unique_ptr<AccessLog> open_log(AccessLogOptions options) {
  options.json = false;
  if (options.template_text.empty()) options.template_text = "%CONNECTION_ID%";
  options.retry = Milliseconds(5);
  auto log = AccessLog::make(options);
  EXPECT_TRUE(log) << describe(log.error());
  return log ? std::move(*log) : nullptr;
}

AccessRecord numbered(std::uint64_t id, CloseReason reason = CloseReason::closed) {
  AccessRecord record = inbound_record(reason);
  record.id = id;
  return record;
}

std::string lines(std::uint64_t from, std::uint64_t to) {
  std::string out;
  for (std::uint64_t id = from; id < to; ++id)
    out += std::to_string(id) + "\n";
  return out;
}

std::string content(const std::string& path) {
  return read_file(path, 64 * 1024 * 1024).value_or("unreadable");
}

/// The writer is another thread: turns over until the claim holds; ctest's limit ends a test that
/// waits in vain.
void wait_until(const std::function<bool()>& claim) {
  while (!claim())
    std::this_thread::yield();
}

TEST(AccessLog, WritesEachRecordOnceInOrderAndAllOfThemAtTheEnd) {
  Folder folder;
  auto log = open_log({.file = folder.file("a.log")});
  for (std::uint64_t id = 0; id < 500; ++id)
    ASSERT_TRUE(log->log(numbered(id)));
  log.reset();
  EXPECT_EQ(content(folder.file("a.log")), lines(0, 500));
}

TEST(AccessLog, AppendsToWhatIsThere) {
  Folder folder;
  ASSERT_TRUE(write_file_atomically(folder.file("a.log"), "before\n", 0600));
  open_log({.file = folder.file("a.log")})->log(numbered(1));
  EXPECT_EQ(content(folder.file("a.log")), "before\n1\n");
}

TEST(AccessLog, WritesWithoutBeingStopped) {
  Folder folder;
  auto log = open_log({.file = folder.file("a.log")});
  for (std::uint64_t id = 0; id < 3; ++id) {  // each time from an idle writer
    log->log(numbered(id));
    wait_until([&] { return log->written() == id + 1; });
  }
  EXPECT_EQ(content(folder.file("a.log")), lines(0, 3));
  EXPECT_EQ(log->dropped(), 0U);
}

TEST(AccessLog, LosesNothingSilentlyBetweenSeveralWorkers) {
  Folder folder;
  auto log = open_log({.file = folder.file("a.log")});
  constexpr std::uint64_t kEach = 5000;
  std::vector<std::thread> workers;
  for (std::uint64_t worker = 0; worker < 4; ++worker) {
    workers.emplace_back([&log, worker] {
      for (std::uint64_t i = 0; i < kEach; ++i)
        log->log(numbered(worker * kEach + i));
    });
  }
  for (std::thread& worker : workers)
    worker.join();
  wait_until([&] { return log->written() + log->dropped() == 4 * kEach; });
  const std::uint64_t written = log->written();
  log.reset();
  const std::string text = content(folder.file("a.log"));
  EXPECT_EQ(static_cast<std::uint64_t>(std::count(text.begin(), text.end(), '\n')), written);
}

TEST(AccessLog, RefusesAnUnknownCommandAndAFileThatCannotBeOpened) {
  const auto unknown = AccessLog::make({.file = "", .json = false, .template_text = "%NO_SUCH%"});
  ASSERT_FALSE(unknown);
  EXPECT_THAT(describe(unknown.error()), HasSubstr("unknown command %NO_SUCH%"));
  const auto missing = AccessLog::make({.file = "/nonexistent/folder/a.log", .template_text = ""});
  ASSERT_FALSE(missing);
  EXPECT_THAT(describe(missing.error()), HasSubstr("/nonexistent/folder/a.log"));
}

// The reader of a FIFO that stays open and reads nothing: the worker goes on at once, what does not
// fit is counted, `mooring why` goes on, and when the reader is back, whole lines go on.
TEST(AccessLog, AStoppedReaderDelaysNoWorker) {
  Folder folder;
  ASSERT_EQ(::mkfifo(folder.file("fifo").c_str(), 0600), 0);
  const UniqueFd reader(::open(folder.file("fifo").c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
  FlightRecorder recorder;
  auto log = open_log({.file = folder.file("fifo"),
                       .template_text = "%CONNECTION_ID% " + std::string(1000, 'x'),
                       .recorder = &recorder});
  std::uint64_t id = 0;
  wait_until([&] {
    log->log(numbered(id++));
    return log->dropped() > 100 && log->written() > 50;
  });
  // Pipe and pending bytes are full: about 64 KiB and 256 KiB of lines of 1 KiB; the ring never
  // filled up for good.
  EXPECT_LT(log->written(), 100U);
  // The ring may still be full of the burst before.
  wait_until([&] { return log->log(numbered(77, CloseReason::denied)); });
  wait_until([&] {
    const auto records = recorder.recent();
    return !records.empty() && records[0]->id == 77;
  });

  std::string text;
  char block[65536];
  const auto read_some = [&] {
    const ssize_t got = ::read(reader.get(), block, sizeof block);
    if (got > 0) text.append(block, static_cast<std::size_t>(got));
  };
  wait_until([&] {
    log->log(numbered(1000000));
    read_some();
    return text.find("\n1000000 ") != std::string::npos;
  });
  std::istringstream stream(text);
  std::string line;
  while (std::getline(stream, line) && !stream.eof())
    EXPECT_EQ(line.size() - line.find(' '), 1001U);
  // The rest is not read: the log ends all the same.
}

// Standard output is a blocking pipe that is not ours to change: a write that waited for its reader
// would keep the log from ending.
TEST(AccessLog, AStoppedReaderOfStandardOutputDoesNotHoldTheEnd) {
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  const UniqueFd reader(ends[0]);
  const UniqueFd writer(ends[1]);
  const UniqueFd before(::dup(STDOUT_FILENO));
  ::dup2(writer.get(), STDOUT_FILENO);
  auto log = open_log({.file = "/dev/stdout", .template_text = std::string(5000, 'x')});
  ::dup2(before.get(), STDOUT_FILENO);
  wait_until([&] {
    log->log(numbered(1));
    return log->dropped() > 0 && log->written() > 5;
  });
  EXPECT_EQ(::fcntl(writer.get(), F_GETFL) & O_NONBLOCK, 0);
  log.reset();
}

TEST(AccessLog, AFullDiskIsCountedAndWritingGoesOnWhenThereIsRoom) {
  Folder folder;
  if (::unshare(CLONE_NEWNS) != 0 ||
      ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
      ::mount("tmpfs", folder.path().c_str(), "tmpfs", 0, "size=64k") != 0) {
    GTEST_SKIP() << "NEEDS PRIVILEGE: a small file system cannot be mounted";
  }
  {
    std::string filler(1024 * 1024, 'x');
    const UniqueFd full(
        ::open(folder.file("filler").c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
    while (::write(full.get(), filler.data(), filler.size()) > 0) {
    }
  }
  auto log = open_log({.file = folder.file("a.log")});
  for (std::uint64_t id = 0; id < 100; ++id)
    log->log(numbered(id));
  wait_until([&] { return log->failures() > 2; });
  EXPECT_EQ(log->written(), 0U);
  fs::remove(folder.file("filler"));
  wait_until([&] { return log->written() == 100; });
  EXPECT_EQ(content(folder.file("a.log")), lines(0, 100));
  EXPECT_EQ(log->dropped(), 0U);
  log.reset();
  ::umount(folder.path().c_str());
}

TEST(AccessLog, AnOutputThatFailsForEverLosesLinesCountedAndHoldsNoMore) {
  auto log = open_log({.file = "/dev/full", .template_text = std::string(4000, 'x')});
  std::uint64_t refused = 0;  // by the ring, where the writer was too slow
  wait_until([&] {
    refused += log->log(numbered(1)) ? 0U : 1U;
    return log->dropped() > refused + 10 && log->failures() > 0;  // the rest by the bound
  });
  EXPECT_EQ(log->written(), 0U);
}

TEST(AccessLog, ReopensForLogrotateAndKeepsWhatWaited) {
  Folder folder;
  fs::create_symlink("/dev/full", folder.file("a.log"));
  auto log = open_log({.file = folder.file("a.log")});
  log->log(numbered(0));
  wait_until([&] { return log->failures() > 0; });
  fs::remove(folder.file("a.log"));
  log->reopen();
  wait_until([&] { return log->written() == 1; });
  fs::rename(folder.file("a.log"), folder.file("a.log.1"));
  log->log(numbered(1));
  wait_until([&] { return log->written() == 2; });
  log->reopen();
  wait_until([&] { return fs::exists(folder.file("a.log")); });
  log->log(numbered(2));
  log.reset();
  EXPECT_EQ(content(folder.file("a.log.1")), lines(0, 2));
  EXPECT_EQ(content(folder.file("a.log")), lines(2, 3));
}

TEST(AccessLog, KeepsTheOldFileWhenTheNewOneCannotBeOpened) {
  Folder folder;
  fs::create_directory(folder.file("logs"));
  auto log = open_log({.file = folder.file("logs/a.log")});
  fs::rename(folder.file("logs"), folder.file("moved"));
  log->reopen();
  log->log(numbered(0));
  wait_until([&] { return log->written() == 1; });
  EXPECT_EQ(content(folder.file("moved/a.log")), lines(0, 1));
}

TEST(AccessLog, FeedsTheRecorderWithRefusedConnectionsEvenWithoutAFile) {
  FlightRecorder recorder;
  auto log = open_log({.file = "", .recorder = &recorder});
  log->log(numbered(1, CloseReason::closed));
  log->log(numbered(2, CloseReason::peer_expired));
  log.reset();
  const auto records = recorder.recent();
  ASSERT_EQ(records.size(), 1U);
  EXPECT_EQ(records[0]->id, 2U);
}

}  // namespace
}  // namespace mooring::observe
