#include "identity/names.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

#include "support/pki.h"

namespace mooring::identity {
namespace {

using ::testing::ElementsAre;

constexpr const char* kWeb = "spiffe://mesh.test/web";

Result<Names> names_of(std::string_view spiffe_id, const test::CertOptions& options) {
  static const test::TestCa ca("mesh.test");
  const auto chain = *parse_certificates(ca.issue(spiffe_id, options).cert_pem, 1);
  return subject_alternative_names(*chain.front());
}

std::vector<Name> all(const Names& names) {
  std::vector<Name> list;
  for (const Name name : names)
    list.push_back(name);
  return list;
}

TEST(SubjectAlternativeNames, AreReadInTheirOrder) {
  const auto names = names_of(kWeb,
                              {.extra_names = {"URI:kuma://kuma.io/service/web",
                                               "DNS:web.mesh",
                                               "IP:10.0.0.1",
                                               "IP:fd00::1",
                                               "email:admin@mesh.test",
                                               "RID:1.2.3"}});
  ASSERT_TRUE(names);
  EXPECT_THAT(all(*names),
              ElementsAre(Name{NameType::uri, kWeb},
                          Name{NameType::uri, "kuma://kuma.io/service/web"},
                          Name{NameType::dns, "web.mesh"},
                          Name{NameType::ip_address, "10.0.0.1"},
                          Name{NameType::ip_address, "fd00::1"},
                          Name{NameType::email, "admin@mesh.test"}));
}

TEST(SubjectAlternativeNames, NeedNotBeThere) {
  const auto names = names_of("", {.subject = "old"});
  ASSERT_TRUE(names);
  EXPECT_TRUE(names->empty());
  EXPECT_EQ(names->spiffe_id(), "");
}

TEST(SubjectAlternativeNames, AreRefusedWhereALogOrAMatcherCouldMisreadThem) {
  for (const char* name : {"two words", "tab\there", "del\x7f"}) {
    const auto names = names_of("", {.extra_names = {std::string("URI:") + name}});
    ASSERT_FALSE(names) << name;
    EXPECT_STREQ(names.error().place, "a subject alternative name that is no printable text");
  }
  // A zero byte ends what C reads, not what we read.
  const auto cut =
      names_of("", {.subject_alternative_name = "DER:30:0c:82:0a:6b:75:6d:61:2d:63:70:00:2e:78"});
  ASSERT_FALSE(cut);
  EXPECT_STREQ(cut.error().place, "a subject alternative name that is no printable text");
  const auto three = names_of("", {.subject_alternative_name = "DER:30:05:87:03:0a:00:00"});
  ASSERT_FALSE(three);
  EXPECT_STREQ(three.error().place, "a subject alternative name that is no address");
  const auto broken = names_of("", {.subject_alternative_name = "DER:30:05:82:0a"});
  ASSERT_FALSE(broken);
  EXPECT_STREQ(broken.error().place, "broken subject alternative name");
}

TEST(Names, HaveASpiffeIdWhereThereIsOne) {
  const auto id = [](const std::vector<Name>& list) {
    Names names;
    for (const Name& name : list)
      names.add(name.type, name.text);
    return std::string(names.spiffe_id());
  };
  EXPECT_EQ(id({{NameType::uri, "kuma://version/1"}, {NameType::uri, kWeb}}), kWeb);
  EXPECT_EQ(id({{NameType::uri, kWeb}, {NameType::uri, "spiffe://mesh.test/other"}}), "");
  EXPECT_EQ(id({{NameType::dns, kWeb}}), "");
  EXPECT_EQ(id({{NameType::uri, "spiffe://mesh.test"}}), "");  // no workload's
  EXPECT_EQ(id({{NameType::uri, "spiffe://Mesh.test/web"}}), "");
}

TEST(Names, SurviveBeingPacked) {
  Names names;
  names.add(NameType::uri, kWeb);
  names.add(NameType::dns, std::string(300, 'a'));
  const Names read = Names::unpack(names.packed()).value_or(Names());
  EXPECT_EQ(all(read), all(names));
  EXPECT_EQ(read.spiffe_id(), kWeb);
}

TEST(Names, AreNotUnpackedFromAnythingElse) {
  Names names;
  names.add(NameType::uri, "ab");
  const std::string& whole = names.packed();
  EXPECT_TRUE(Names::unpack(""));
  for (std::size_t bytes = 1; bytes < whole.size(); ++bytes)
    EXPECT_FALSE(Names::unpack(whole.substr(0, bytes))) << bytes;
  EXPECT_FALSE(Names::unpack(whole + "x"));
  EXPECT_FALSE(Names::unpack(std::string("\4\0\1a", 4)));  // no such type
  EXPECT_FALSE(Names::unpack(std::string("\0\0\0", 3)));   // no text
  EXPECT_FALSE(Names::unpack(std::string("\xff\0\1a", 4)));
}

}  // namespace
}  // namespace mooring::identity
