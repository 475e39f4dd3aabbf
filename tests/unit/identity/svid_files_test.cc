#include "identity/svid_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>

#include "core/file.h"
#include "support/pki.h"

namespace mooring::identity {
namespace {

using test::Issued;
using test::TestCa;
using ::testing::HasSubstr;

class SvidFiles : public ::testing::Test {
 protected:
  SvidFiles() {
    std::string pattern = std::filesystem::temp_directory_path() / "mooring-identity-XXXXXX";
    folder_ = ::mkdtemp(pattern.data());
    files_ = {
        "mesh.test", folder_ + "/svid.pem", folder_ + "/key.pem", folder_ + "/bundle.pem", {}};
    put(files_.bundle, ca_.cert_pem());
    put(ca_.issue("spiffe://mesh.test/web"));
  }
  ~SvidFiles() override { std::filesystem::remove_all(folder_); }

  static void put(const std::string& path, const std::string& text, unsigned mode = 0600) {
    ASSERT_TRUE(write_file_atomically(path, text, mode));
  }
  void put(const Issued& own) {
    put(files_.svid, own.cert_pem);
    put(files_.key, own.key_pem);
  }
  Diagnostic refusal() const {
    const auto loaded = load_material(files_);
    return loaded ? Diagnostic{} : loaded.error();
  }

  std::string folder_;
  IdentityFiles files_;
  TestCa ca_{"mesh.test"};
};

TEST_F(SvidFiles, AreReadTogether) {
  const TestCa other("other.test");
  files_.federated["other.test"] = folder_ + "/other.pem";
  put(files_.federated["other.test"], other.cert_pem());
  const auto material = load_material(files_);
  ASSERT_TRUE(material) << describe(material.error());
  EXPECT_EQ((*material)->id(), "spiffe://mesh.test/web");
  EXPECT_EQ((*material)->trusted->bundles.size(), 2U);
}

TEST_F(SvidFiles, NameTheFileThatIsMissing) {
  ::unlink(files_.bundle.c_str());
  EXPECT_EQ(refusal().path, files_.bundle);
  EXPECT_THAT(refusal().message, HasSubstr("not_found"));
}

TEST_F(SvidFiles, NameTheFileThatIsBroken) {
  put(files_.svid, "nothing");
  EXPECT_EQ(refusal().path, files_.svid);
  files_.federated["other.test"] = folder_ + "/other.pem";
  put(ca_.issue("spiffe://mesh.test/web"));
  put(files_.federated["other.test"], "nothing");
  EXPECT_EQ(refusal().path, files_.federated["other.test"]);
  files_.federated.clear();
  put(files_.bundle, "nothing");
  EXPECT_EQ(refusal().path, files_.bundle);
}

TEST_F(SvidFiles, RefuseAKeyThatEveryoneCanRead) {
  for (const unsigned mode : {0644U, 0604U, 0602U}) {
    ASSERT_EQ(::chmod(files_.key.c_str(), mode), 0);
    EXPECT_EQ(refusal().path, files_.key);
    EXPECT_THAT(refusal().message, HasSubstr("open to every user"));
  }
  for (const unsigned mode : {0640U, 0600U, 0400U, 0660U}) {
    ASSERT_EQ(::chmod(files_.key.c_str(), mode), 0);
    EXPECT_EQ(refusal(), Diagnostic{}) << mode;
  }
}

TEST_F(SvidFiles, ReportARotationThatIsHalfDone) {
  const FilesState before = look_at(files_);
  const Issued next = ca_.issue("spiffe://mesh.test/web");
  put(files_.svid, next.cert_pem);
  EXPECT_NE(look_at(files_), before);
  EXPECT_EQ(refusal().path, files_.key);
  EXPECT_THAT(refusal().message, HasSubstr("does not belong to the SVID"));
  put(files_.key, next.key_pem);
  EXPECT_TRUE(load_material(files_));
}

TEST_F(SvidFiles, RefuseAnIdentityOfAnotherTrustDomain) {
  files_.trust_domain = "other.test";
  EXPECT_EQ(refusal().path, files_.svid);
  const TestCa other("other.test");
  const Issued own = other.issue("spiffe://other.test/web");
  files_.trust_domain = "mesh.test";
  files_.federated["other.test"] = folder_ + "/other.pem";
  put(files_.federated["other.test"], other.cert_pem());
  put(own);
  EXPECT_THAT(refusal().message, HasSubstr("not of this host's trust domain"));
}

TEST_F(SvidFiles, LookTheSameUntilOneIsReplaced) {
  const FilesState before = look_at(files_);
  EXPECT_EQ(look_at(files_), before);
  put(files_.bundle, ca_.cert_pem());  // the same text in a new file
  EXPECT_NE(look_at(files_), before);
}

TEST_F(SvidFiles, SeeThroughSymbolicLinks) {
  // As a Kubernetes volume: one link to the folder of the current version.
  std::filesystem::create_directory(folder_ + "/v1");
  std::filesystem::create_directory(folder_ + "/v2");
  put(folder_ + "/v1/svid.pem", "one");
  put(folder_ + "/v2/svid.pem", "two");
  std::filesystem::create_directory_symlink("v1", folder_ + "/current");
  files_.svid = folder_ + "/current/svid.pem";
  const FilesState before = look_at(files_);
  std::filesystem::remove(folder_ + "/current");
  std::filesystem::create_directory_symlink("v2", folder_ + "/current");
  EXPECT_NE(look_at(files_), before);
}

TEST_F(SvidFiles, HaveABound) {
  put(files_.bundle, std::string(kMaxPemBytes + 1, '\n'));
  EXPECT_THAT(refusal().message, HasSubstr("too_large"));
}

}  // namespace
}  // namespace mooring::identity
