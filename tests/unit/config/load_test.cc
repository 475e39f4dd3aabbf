#include "config/load.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "support.h"

namespace mooring::config {
namespace {

using ::testing::HasSubstr;
namespace fs = std::filesystem;

class LoadConfig : public ::testing::Test {
 public:
  LoadConfig() {
    std::string pattern = fs::temp_directory_path() / "mooring-config-XXXXXX";
    folder_ = ::mkdtemp(pattern.data());
  }
  ~LoadConfig() override { fs::remove_all(folder_); }

 protected:
  std::string write(const fs::path& name, std::string_view text) {
    fs::create_directories((folder_ / name).parent_path());
    std::ofstream(folder_ / name) << text;
    return folder_ / name;
  }

  fs::path folder_;
};

TEST_F(LoadConfig, ReadsTheMainFileAndConfDInNameOrder) {
  const std::string main_file = write("agent.toml", kHostText);
  write("conf.d/20.toml", "[[service]]\nname = \"b\"\nport = 81\n");
  write("conf.d/10.toml", "[[service]]\nname = \"a\"\nport = 80\n");
  write("conf.d/30.toml.bak", "not toml");
  write("conf.d/.40.toml", "not toml");
  const auto config = load(main_file);
  ASSERT_TRUE(config) << describe(config.error().front());
  ASSERT_EQ(config->services.size(), 2U);
  EXPECT_EQ(config->services[0].name, "a");
  EXPECT_EQ(config->services[1].name, "b");
}

TEST_F(LoadConfig, NamesTheHostAfterTheKernel) {
  const auto config = load(write("agent.toml", kHostText));
  ASSERT_TRUE(config);
  char name[256] = {};
  ASSERT_EQ(::gethostname(name, sizeof name), 0);
  EXPECT_EQ(config->host.name, name);
}

TEST_F(LoadConfig, NamesTheDataplaneAfterTheHostInSmallLetters) {
  const std::string main_file = write("agent.toml", "[host]\nname = \"Web-1\"\n");
  write("conf.d/10-control-plane.toml", kControlPlaneText);
  const auto config = load(main_file);
  ASSERT_TRUE(config) << describe(config.error().front());
  EXPECT_EQ(config->control_plane->name, "web-1");
}

TEST_F(LoadConfig, TakesTextsInPlaceOfFiles) {
  const std::string main_file = folder_ / "agent.toml";
  write("conf.d/10.toml", "not toml");
  write("conf.d/20.toml", "[[service]]\nname = \"c\"\nport = 82\n");
  const auto config =
      load_with({{folder_ / "conf.d/10.toml", "[[service]]\nname = \"b\"\nport = 81\n"},
                 {folder_ / "conf.d/00.toml", "[[service]]\nname = \"a\"\nport = 80\n"},
                 {main_file, std::string(kHostText)}},
                main_file);
  ASSERT_TRUE(config) << describe(config.error().front());
  ASSERT_EQ(config->services.size(), 3U);
  EXPECT_EQ(config->services[0].name, "a");
  EXPECT_EQ(config->services[1].name, "b");
  EXPECT_EQ(config->services[2].name, "c");
  EXPECT_FALSE(std::filesystem::exists(main_file));
}

TEST_F(LoadConfig, SaysWhichFileCannotBeRead) {
  const auto config = load(folder_ / "agent.toml");
  ASSERT_FALSE(config);
  ASSERT_EQ(config.error().size(), 1U);
  EXPECT_EQ(config.error()[0].path, folder_ / "agent.toml");
  EXPECT_THAT(config.error()[0].message, HasSubstr("No such file"));
}

TEST_F(LoadConfig, AFolderInConfDIsNoFile) {
  const std::string main_file = write("agent.toml", kHostText);
  fs::create_directories(folder_ / "conf.d/x.toml");
  const auto config = load(main_file);
  ASSERT_FALSE(config);
  EXPECT_EQ(config.error()[0].path, folder_ / "conf.d/x.toml");
}

TEST_F(LoadConfig, ABrokenLinkInConfDIsReported) {
  const std::string main_file = write("agent.toml", kHostText);
  fs::create_directories(folder_ / "conf.d");
  fs::create_symlink("/nonexistent", folder_ / "conf.d/x.toml");
  EXPECT_FALSE(load(main_file));
}

TEST_F(LoadConfig, ConfDThatIsAFileIsReported) {
  const std::string main_file = write("agent.toml", kHostText);
  write("conf.d", "");
  const auto config = load(main_file);
  ASSERT_FALSE(config);
  EXPECT_THAT(config.error()[0].message, HasSubstr("cannot be listed"));
}

TEST_F(LoadConfig, TooLargeAFileIsRefused) {
  const auto config = load(write("agent.toml", std::string(kMaxFileBytes + 1, '#')));
  ASSERT_FALSE(config);
  EXPECT_THAT(config.error()[0].message, HasSubstr("larger than"));
}

TEST_F(LoadConfig, ProblemsCarryTheFileTheyAreIn) {
  const std::string main_file = write("agent.toml", kHostText);
  const std::string extra = write("conf.d/a.toml", "\n[limits]\nwokers = 1\n");
  const auto config = load(main_file);
  ASSERT_FALSE(config);
  EXPECT_EQ(config.error()[0].path, extra + ":3:1");
}

}  // namespace
}  // namespace mooring::config
