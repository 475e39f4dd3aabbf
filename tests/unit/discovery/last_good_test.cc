#include "discovery/last_good.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include "core/file.h"

namespace mooring::discovery {
namespace {

using testing::HasSubstr;

constexpr std::string_view kMachine = "0123456789abcdef0123456789abcdef";

LastGood sample() {
  return {.saved_at = WallTime(std::chrono::seconds(1'795'447'768)),
          .node_id = "default.web",
          .resources = {{ResourceKind::cluster, "c", "1", std::string("a\0b", 3)},
                        {ResourceKind::secret, "identity", "2", "private"},
                        {ResourceKind::listener, "l", "", ""}}};
}

class LastGoodFileTest : public testing::Test {
 public:
  LastGoodFileTest() {
    std::string name = "/tmp/last_good_XXXXXX";
    folder_ = ::mkdtemp(name.data());
    path_ = folder_ + "/last-good";
  }
  ~LastGoodFileTest() override { std::filesystem::remove_all(folder_); }

 protected:
  LastGoodFile file(bool keeps_secrets = true) const {
    return {path_, std::string(kMachine), keeps_secrets};
  }
  std::string folder_;
  std::string path_;
};

TEST(LastGood, RoundTrips) {
  EXPECT_EQ(decode_last_good(encode_last_good(sample(), kMachine), kMachine), sample());
  EXPECT_EQ(decode_last_good(encode_last_good({}, kMachine), kMachine), LastGood{});
}

TEST(LastGood, IsOfOneMachineAndDoesNotNameIt) {
  const std::string content = encode_last_good(sample(), kMachine);
  EXPECT_EQ(content.find(kMachine), std::string::npos);
  const auto other = decode_last_good(content, "fedcba9876543210fedcba9876543210");
  ASSERT_FALSE(other);
  EXPECT_THAT(other.error().message, HasSubstr("another machine"));
}

TEST(LastGood, NoticesEveryChangedByte) {
  const std::string content = encode_last_good(sample(), kMachine);
  for (std::size_t i = 0; i < content.size(); ++i) {
    std::string changed = content;
    changed[i] = static_cast<char>(changed[i] ^ 1);
    EXPECT_FALSE(decode_last_good(changed, kMachine)) << i;
    EXPECT_FALSE(decode_last_good(content.substr(0, i), kMachine)) << i;
  }
  EXPECT_FALSE(decode_last_good(content + "x", kMachine));
}

TEST(LastGood, SaysWhichVersionItIsNot) {
  std::string content = encode_last_good(sample(), kMachine);
  content.replace(content.find(" 1 "), 3, " 2 ");
  EXPECT_THAT(decode_last_good(content, kMachine).error().message, HasSubstr("another version"));
  EXPECT_THAT(decode_last_good("", kMachine).error().message, HasSubstr("no file of last good"));
}

TEST_F(LastGoodFileTest, IsForItsOwnerAloneAndReplacedAtOnce) {
  ASSERT_TRUE(file().save({}));
  ASSERT_TRUE(file().save(sample()));
  struct stat info{};
  ASSERT_EQ(::stat(path_.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777U, 0600U);
  EXPECT_EQ(file().load(), sample());
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder_), {}), 1);
}

TEST_F(LastGoodFileTest, NothingYetIsNoFailure) {
  EXPECT_EQ(file().load(), LastGood{});
}

TEST_F(LastGoodFileTest, WithoutSecretsWhereTheyAreNotToBeKept) {
  ASSERT_TRUE(file(false).save(sample()));
  EXPECT_EQ(read_file(path_, 10'000)->find("private"), std::string::npos);
  ASSERT_TRUE(file().save(sample()));
  EXPECT_EQ(file(false).load()->resources.size(), 2U);  // also of a file from before
}

TEST_F(LastGoodFileTest, NamesTheFileThatItIgnores) {
  std::ofstream(path_) << "garbage";
  const auto loaded = file().load();
  ASSERT_FALSE(loaded);
  EXPECT_EQ(loaded.error().path, path_);
  EXPECT_THAT(loaded.error().hint, HasSubstr("ignored"));
  std::filesystem::remove(path_);
  std::filesystem::create_directory(path_);
  EXPECT_FALSE(file().load());
  EXPECT_FALSE(file().save(sample()));
}

TEST_F(LastGoodFileTest, RefusesToGrowWithoutBound) {
  LastGood large;
  large.resources.push_back({ResourceKind::cluster, "c", "", std::string(kMaxLastGoodBytes, 'x')});
  EXPECT_THAT(file().save(large).error().message, HasSubstr("128 MiB"));
  EXPECT_FALSE(std::filesystem::exists(path_));
}

TEST_F(LastGoodFileTest, MachineIdIsOneOfSystemd) {
  std::ofstream(path_) << kMachine << '\n';
  EXPECT_EQ(read_machine_id(path_), kMachine);
  std::ofstream(path_) << "uninitialized\n";
  EXPECT_FALSE(read_machine_id(path_));
  EXPECT_FALSE(read_machine_id(folder_ + "/none"));
}

}  // namespace
}  // namespace mooring::discovery
