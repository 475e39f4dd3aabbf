#include "transparent-proxy/journal.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>

#include "core/file.h"
#include "core/log.h"

namespace mooring::transparent_proxy {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

class JournalTest : public testing::Test {
 protected:
  void SetUp() override {
    log::set_level(log::Level::off);
    std::string pattern = testing::TempDir() + "journal-XXXXXX";
    folder = ::mkdtemp(pattern.data());
    path = folder + "/journal";
  }
  void TearDown() override { std::filesystem::remove_all(folder); }
  std::string text() const { return read_file(path, 1 << 20).value_or("unreadable"); }

  std::string folder;
  std::string path;
};

constexpr const char* kA = "nft inet mooring_0123abcd_a";
constexpr const char* kB = "nft inet mooring_0123abcd_b";

TEST_F(JournalTest, SaysWhatWillBeThereWithTheStateBefore) {
  Journal journal(path, "0123abcd");
  journal.will_add({kA});
  EXPECT_THAT(text(), HasSubstr("mooring-journal 1 0123abcd\nwill "));
  EXPECT_THAT(text(), HasSubstr(" nft inet mooring_0123abcd_a was absent\n"));
}

TEST_F(JournalTest, SaysTheSameThingOnce) {
  Journal journal(path, "0123abcd");
  journal.will_add({kA});
  const std::string once = text();
  journal.will_add({kA});
  EXPECT_EQ(text(), once);
}

TEST_F(JournalTest, IsTakenOverInTheSameBootOnly) {
  {
    Journal journal(path, "0123abcd");
    journal.will_add({kA, kB});
    journal.keep_only("nft ", {kB});
  }
  EXPECT_THAT(Journal(path, "0123abcd").present(), ElementsAre(kB));
  EXPECT_THAT(Journal(path, "ffffffff").present(), IsEmpty());
  EXPECT_THAT(text(), Not(HasSubstr("_b")));
}

TEST_F(JournalTest, IsEmptyAgainOnACleanHost) {
  Journal journal(path, "0123abcd");
  journal.will_add({kA});
  journal.keep_only("nft ", {});
  EXPECT_EQ(text(), "mooring-journal 1 0123abcd\n");
}

TEST_F(JournalTest, StaysSmall) {
  Journal journal(path, "0123abcd");
  for (int i = 0; i < 2000; ++i) {
    journal.will_add({i % 2 == 0 ? kA : kB}, false);
    journal.keep_only("nft ", {i % 2 == 0 ? kA : kB});
  }
  EXPECT_LT(text().size(), 66U * 1024);
  EXPECT_THAT(journal.present(), ElementsAre(kB));
}

TEST_F(JournalTest, LeavesOtherKindsAlone) {
  Journal journal(path, "0123abcd");
  journal.will_add(
      {"iptables-nft 4 nat mooring_0123abcd_a_out", "iptables-nft 6 nat mooring_0123abcd_a_out"});
  journal.keep_only("iptables-nft 4 ", {});
  EXPECT_THAT(journal.present(), ElementsAre("iptables-nft 6 nat mooring_0123abcd_a_out"));
}

TEST_F(JournalTest, HasWhatWasMissedWhenTheDiskCanBeWrittenAgain) {
  Journal journal(path, "0123abcd");
  std::filesystem::remove(path);
  std::filesystem::create_directory(path);
  journal.will_add({kA});
  std::filesystem::remove(path);
  {
    Journal(path, "0123abcd");
  }
  journal.will_add({kB});
  EXPECT_THAT(Journal(path, "0123abcd").present(), ElementsAre(kA, kB));
}

TEST_F(JournalTest, ReadsNothingOfAFileThatIsNone) {
  ASSERT_TRUE(write_file_atomically(path, "will\nwill 1 nft inet mooring_x_a was absent\n", 0600));
  EXPECT_THAT(Journal(path, "0123abcd").present(), IsEmpty());
}

class Fake : public NftRunner {
 public:
  explicit Fake(const std::string& journal) : journal_(journal) {}
  Checked<void> run(const std::string&) override {
    journal_when_run = read_file(journal_, 1 << 20).value_or("");
    return {};
  }
  Checked<void> check(const std::string&) override { return {}; }
  Checked<std::string> list(const std::string&) override {
    return std::string("table inet filter\n");
  }
  [[nodiscard]] int owner_fd() const noexcept override { return -1; }
  std::string journal_when_run;

 private:
  std::string journal_;
};

TEST_F(JournalTest, IsWrittenBeforeTheKernelIsTold) {
  auto journal = std::make_shared<Journal>(path, "0123abcd");
  auto fake = std::make_unique<Fake>(path);
  const Fake& kernel = *fake;
  const auto runner = with_journal(std::move(fake), journal);
  ASSERT_TRUE(
      runner->run("delete table inet mooring_0123abcd_b\ntable inet mooring_0123abcd_a {\n}\n"));
  EXPECT_THAT(kernel.journal_when_run, HasSubstr(kA));
  EXPECT_THAT(kernel.journal_when_run, Not(HasSubstr(kB)));
  ASSERT_TRUE(runner->list("list tables"));
  EXPECT_THAT(journal->present(), IsEmpty());
}

}  // namespace
}  // namespace mooring::transparent_proxy
