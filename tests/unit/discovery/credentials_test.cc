#include "discovery/credentials.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "core/base64.h"

namespace mooring::discovery {
namespace {

using testing::HasSubstr;

class TokenFileTest : public testing::Test {
 public:
  TokenFileTest() {
    std::string name = "/tmp/token_XXXXXX";
    folder_ = ::mkdtemp(name.data());
    path_ = folder_ + "/token";
  }
  ~TokenFileTest() override { std::filesystem::remove_all(folder_); }

 protected:
  /// As an administrator does it: another file takes its place.
  void write(const std::string& text, mode_t mode = 0600) const {
    std::ofstream(path_ + ".new") << text;
    ::chmod((path_ + ".new").c_str(), mode);
    std::filesystem::rename(path_ + ".new", path_);
  }
  Diagnostic failure() {
    const auto result = file_.refresh();
    EXPECT_FALSE(result.has_value());
    return result ? Diagnostic{} : result.error();
  }

  std::string folder_;
  std::string path_;
  TokenFile file_{"/nonexistent"};
};

TEST_F(TokenFileTest, TrimsAndIsReadAgainWhenItIsAnother) {
  write(" \n abc.def.ghi\r\n");
  TokenFile file(path_);
  EXPECT_EQ(file.token(), "");
  EXPECT_EQ(file.refresh(), true);
  EXPECT_EQ(file.token(), "abc.def.ghi");
  EXPECT_EQ(file.refresh(), false);
  write("abc.def.jkl");
  EXPECT_EQ(file.refresh(), true);
  EXPECT_EQ(file.token(), "abc.def.jkl");
  write("abc.def.jkl\n");  // another file, the same token
  EXPECT_EQ(file.refresh(), false);
}

TEST_F(TokenFileTest, KeepsTheLastGoodOneAndNamesTheTrouble) {
  write("good");
  file_ = TokenFile(path_);
  EXPECT_EQ(file_.refresh(), true);
  write(" \n");
  EXPECT_THAT(failure().message, HasSubstr("empty"));
  write("two tokens");
  EXPECT_THAT(failure().message, HasSubstr("more in the file"));
  write(std::string(20'000, 'a'));
  EXPECT_THAT(failure().message, HasSubstr("16 KiB"));
  std::filesystem::remove(path_);
  EXPECT_THAT(failure().message, HasSubstr("not there"));
  std::filesystem::create_directory(path_);
  EXPECT_THAT(failure().message, HasSubstr("cannot be read"));
  EXPECT_EQ(file_.token(), "good");
}

TEST_F(TokenFileTest, WarnsWhereOthersCanReadIt) {
  write("t", 0640);
  TokenFile file(path_);
  EXPECT_EQ(file.refresh(), true);
  EXPECT_EQ(file.warning(), "");
  write("t", 0644);
  EXPECT_EQ(file.refresh(), false);
  EXPECT_THAT(file.warning(), HasSubstr(path_));
  write("t", 0600);
  EXPECT_EQ(file.refresh(), false);
  EXPECT_EQ(file.warning(), "");
}

TEST(TokenPath, IsAPathOrACredentialOfTheUnit) {
  EXPECT_EQ(token_path("/etc/mooring/token", nullptr), "/etc/mooring/token");
  EXPECT_EQ(token_path("credential:dp", "/run/credentials/mooringd.service"),
            "/run/credentials/mooringd.service/dp");
  EXPECT_THAT(token_path("credential:dp", nullptr).error().hint, HasSubstr("LoadCredential=dp"));
  EXPECT_FALSE(token_path("credential:dp", "").has_value());
  for (const char* name : {"credential:", "credential:../x", "credential:a/b", "credential:."})
    EXPECT_FALSE(token_path(name, "/run").has_value()) << name;
}

std::string token_of(const std::string& claims) {
  return "e30." + encode_base64(claims) + ".c2ln";
}

TEST(TokenClaims, SaysForWhomAndHowLong) {
  const auto claims = parse_token_claims(token_of(
      R"({"Name":"","Mesh":"default","Tags":{},"Workload":"web","exp":1796311773,"nbf":1795447768.5})"));
  ASSERT_TRUE(claims);
  EXPECT_EQ(claims->name, "");
  EXPECT_EQ(claims->mesh, "default");
  EXPECT_EQ(claims->workload, "web");
  EXPECT_EQ(claims->expires, WallTime(std::chrono::seconds(1796311773)));
  EXPECT_EQ(claims->not_before, WallTime(std::chrono::seconds(1795447768)));
}

TEST(TokenClaims, TakesOddClaimsAsNone) {
  const auto claims =
      parse_token_claims(token_of(R"({"Name":5,"Mesh":null,"exp":"soon","nbf":-1e300})"));
  ASSERT_TRUE(claims);
  EXPECT_EQ(*claims, (TokenClaims{.not_before = WallTime(std::chrono::seconds(0))}));
  EXPECT_EQ(parse_token_claims(token_of(R"({"exp":1e300})"))->expires,
            WallTime(std::chrono::seconds(9'000'000'000)));
}

TEST(TokenClaims, RefusesWhatIsNoToken) {
  for (const std::string& text : {std::string("abc"),
                                  std::string("a.b"),
                                  std::string("a.!.c"),
                                  std::string("..."),
                                  token_of("[]"),
                                  token_of("{"),
                                  token_of(R"({"Name": "\xff"})"),
                                  std::string(20'000, '.')})
    EXPECT_FALSE(parse_token_claims(text)) << text;
}

}  // namespace
}  // namespace mooring::discovery
