#include "app/identity_watch.h"

#include <gmock/gmock.h>
#include <unistd.h>

#include <filesystem>

#include "core/file.h"
#include "core/log.h"
#include "support.h"
#include "support/pki.h"

namespace mooring::app {
namespace {

using test::TestCa;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class IdentityWatchTest : public ::testing::Test {
 protected:
  void SetUp() override {
    log::set_level(log::Level::off);
    std::string pattern = std::filesystem::temp_directory_path() / "mooring-watch-XXXXXX";
    folder = ::mkdtemp(pattern.data());
    files = {"shop.test", folder + "/svid.pem", folder + "/key.pem", folder + "/bundle.pem", {}};
    put(files.bundle, ca.cert_pem());
    issue("spiffe://shop.test/web");
  }
  void TearDown() override {
    log::set_level(log::Level::info);
    std::filesystem::remove_all(folder);
  }
  static void put(const std::string& path, const std::string& text) {
    ASSERT_TRUE(write_file_atomically(path, text, 0600));
  }
  void issue(const std::string& id) const {
    const test::Issued issued = ca.issue(id);
    put(files.key, issued.key_pem);
    put(files.svid, issued.cert_pem);
  }

  Loop loop;
  TestCa ca{"shop.test"};
  std::string folder;
  identity::IdentityFiles files;
  int changes = 0;
};

TEST_F(IdentityWatchTest, LoadsAtOnceWithoutTellingAndThenTellsEachChange) {
  IdentityWatch watch(loop, [this] { ++changes; });
  watch.set_files(files);
  ASSERT_TRUE(watch.material());
  EXPECT_EQ(changes, 0);
  EXPECT_EQ(watch.updates(), 1U);
  issue("spiffe://shop.test/next");
  ASSERT_TRUE(run_until(loop, [&] { return watch.material()->id() == "spiffe://shop.test/next"; }));
  EXPECT_GE(changes, 1);
  EXPECT_THAT(watch.problem(), IsEmpty());
}

TEST_F(IdentityWatchTest, BrokenFilesKeepWhatWasThereAndSayWhich) {
  IdentityWatch watch(loop, [this] { ++changes; });
  watch.set_files(files);
  const identity::MaterialPtr before = watch.material();
  put(files.bundle, "no PEM\n");
  ASSERT_TRUE(run_until(loop, [&] { return !watch.problem().empty(); }));
  EXPECT_EQ(watch.material(), before);
  EXPECT_THAT(watch.problem(), HasSubstr("bundle.pem"));
  EXPECT_EQ(changes, 1);
  put(files.bundle, ca.cert_pem());
  EXPECT_TRUE(run_until(loop, [&] { return watch.problem().empty(); }));
}

TEST_F(IdentityWatchTest, AnSvidThatTheBundleDoesNotLeadToIsNotTaken) {
  IdentityWatch watch(loop, [this] { ++changes; });
  watch.set_files(files);
  const identity::MaterialPtr before = watch.material();
  const test::Issued foreign = TestCa("shop.test").issue("spiffe://shop.test/web");
  put(files.key, foreign.key_pem);
  put(files.svid, foreign.cert_pem);
  ASSERT_TRUE(run_until(loop, [&] { return !watch.problem().empty(); }));
  EXPECT_EQ(watch.material(), before);
}

TEST_F(IdentityWatchTest, AHostMayLoseItsIdentity) {
  IdentityWatch watch(loop, [this] { ++changes; });
  watch.set_files(files);
  watch.set_files(std::nullopt);
  EXPECT_FALSE(watch.material());
  EXPECT_THAT(watch.problem(), IsEmpty());
}

TEST(IdentityFiles, ComeFromTheConfiguration) {
  EXPECT_FALSE(identity_files(config_of("")));
  const auto files = identity_files(config_of(R"(
[identity]
svid = "/s.pem"
key = "/k.pem"
bundle = "/b.pem"
[identity.federated]
"partner.test" = "/p.pem"
)"));
  ASSERT_TRUE(files);
  EXPECT_EQ(files->trust_domain, "shop.test");
  EXPECT_EQ(files->svid, "/s.pem");
  EXPECT_EQ(files->federated.at("partner.test"), "/p.pem");
}

}  // namespace
}  // namespace mooring::app
