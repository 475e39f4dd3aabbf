#include "core/log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>

#include "core/file.h"

namespace mooring {
namespace {

namespace fs = std::filesystem;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;

class LogFile : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = fs::temp_directory_path() / "mooring-log-XXXXXX";
    folder = ::mkdtemp(pattern.data());
    file = folder + "/mooring.log";
  }
  void TearDown() override {
    log::stop();
    fs::remove_all(folder);
  }
  [[nodiscard]] static std::string text(const std::string& path) {
    return read_file(path, 65536).value_or(std::string());
  }

  std::string folder;
  std::string file;
};

TEST_F(LogFile, TakesLinesFromItsLevelOn) {
  ASSERT_TRUE(log::start(file, log::Level::info));
  log::debug("small");
  log::info("port={}", 80);
  log::stop();
  EXPECT_THAT(text(file), EndsWith("Z info port=80\n"));
  EXPECT_THAT(text(file), Not(HasSubstr("small")));
}

TEST_F(LogFile, IsOpenedAnewAfterItWasRenamed) {
  ASSERT_TRUE(log::start(file, log::Level::info));
  log::info("first");
  log::stop();
  ASSERT_TRUE(log::start(file, log::Level::info));
  fs::rename(file, file + ".1");
  log::reopen();
  log::info("second");
  log::stop();
  EXPECT_THAT(text(file + ".1"), HasSubstr("first"));
  EXPECT_THAT(text(file + ".1"), Not(HasSubstr("second")));
  EXPECT_THAT(text(file), HasSubstr("second"));
}

TEST_F(LogFile, StaysInUseWhereNoOtherCanBeOpened) {
  fs::create_directory(folder + "/in");
  ASSERT_TRUE(log::start(folder + "/in/log", log::Level::info));
  fs::rename(folder + "/in", folder + "/away");
  log::reopen();
  log::info("goes on");
  log::stop();
  EXPECT_THAT(text(folder + "/away/log"), HasSubstr("goes on"));
}

TEST_F(LogFile, ThatCannotBeOpenedIsAnError) {
  EXPECT_EQ(log::start(folder + "/absent/log", log::Level::info).error().code, Errc::not_found);
}

}  // namespace
}  // namespace mooring
