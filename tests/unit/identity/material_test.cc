#include "identity/material.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/x509.h>

#include "support/pki.h"

namespace mooring::identity {
namespace {

using std::chrono::hours;
using test::CertOptions;
using test::Issued;
using test::KeyType;
using test::TestCa;
using ::testing::HasSubstr;

constexpr const char* kWeb = "spiffe://mesh.test/web";

class BuildMaterial : public ::testing::Test {
 protected:
  MaterialText text(const Issued& own) const {
    return {own.cert_pem, own.key_pem, {{"mesh.test", ca_.cert_pem()}}};
  }
  /// "part: message", or "" when it was accepted.
  static std::string refusal(const MaterialText& text) {
    const auto built = build_material(text);
    return built ? "" : built.error().path + ": " + built.error().message;
  }
  std::string refusal(const CertOptions& options) const {
    return refusal(text(ca_.issue(kWeb, options)));
  }

  TestCa ca_{"mesh.test"};
};

TEST_F(BuildMaterial, TakesASoundIdentity) {
  const TestCa other("other.test");
  const auto material = ca_.material(kWeb, {}, {&other});
  EXPECT_EQ(material->id(), kWeb);
  EXPECT_EQ(material->presented->chain.size(), 1U);
  EXPECT_EQ(issuer(*material->presented->chain.front()), "CN=root of mesh.test");
  EXPECT_EQ(material->trusted->bundles.size(), 2U);
  EXPECT_EQ(material->trusted->bundles.at("mesh.test").anchors.size(), 1U);
  EXPECT_LT(material->presented->not_before, std::chrono::system_clock::now());
  EXPECT_GT(material->presented->not_after, std::chrono::system_clock::now() + hours(23));
}

TEST_F(BuildMaterial, TakesEveryKindOfKeyThatPeersTake) {
  for (const KeyType type : {KeyType::p256, KeyType::p384, KeyType::ed25519, KeyType::rsa2048}) {
    EXPECT_EQ(refusal({.key = type}), "") << static_cast<int>(type);
  }
  EXPECT_EQ(refusal({.key = KeyType::rsa1024}),
            "key: RSA with 1024 bits is too short; 2048 is the least");
}

TEST_F(BuildMaterial, TakesWhatHasExpiredOrIsNotYetValid) {
  const auto now = std::chrono::system_clock::now();
  EXPECT_EQ(refusal({.not_before = now - hours(48), .not_after = now - hours(24)}), "");
  EXPECT_EQ(refusal({.not_before = now + hours(24), .not_after = now + hours(48)}), "");
}

TEST_F(BuildMaterial, KeepsTheEarliestEndOfTheChain) {
  auto options = test::ca_options("site");
  options.not_after = std::chrono::system_clock::now() + hours(2);
  const TestCa site = ca_.intermediate(options);
  const auto material = build_material(text(site.issue(kWeb)));
  ASSERT_TRUE(material);
  EXPECT_EQ((*material)->presented->chain.size(), 2U);
  EXPECT_EQ((*material)->presented->not_after,
            std::chrono::floor<std::chrono::seconds>(options.not_after));
}

TEST(Validity, HoldsDatesThatNoClockReaches) {
  // RFC 5280 §4.1.2.5: 99991231235959Z says "no well-defined end".
  const TestCa ca("mesh.test");
  auto certificate = *parse_certificates(ca.cert_pem(), 1);
  ASSERT_EQ(ASN1_TIME_set_string(X509_getm_notAfter(certificate.front().get()), "99991231235959Z"),
            1);
  const auto span = validity(*certificate.front());
  ASSERT_TRUE(span);
  EXPECT_EQ(span->not_after, WallTime::max());
  EXPECT_LT(span->not_before, std::chrono::system_clock::now());
}

TEST_F(BuildMaterial, MakesNewTicketKeysEachTime) {
  const Issued own = ca_.issue(kWeb);
  EXPECT_NE((*build_material(text(own)))->ticket_keys, (*build_material(text(own)))->ticket_keys);
}

TEST_F(BuildMaterial, CountsAnAnchorOnce) {
  MaterialText doubled = text(ca_.issue(kWeb));
  doubled.bundle_pems["mesh.test"] += ca_.cert_pem();
  EXPECT_EQ((*build_material(doubled))->trusted->bundles.at("mesh.test").anchors.size(), 1U);
}

TEST_F(BuildMaterial, NamesWhatIsWrongWithTheSvid) {
  EXPECT_EQ(refusal({.key_usage = ""}),
            "svid: its first certificate is no X.509-SVID: no key usage");
  EXPECT_EQ(refusal({.extended_key_usage = "serverAuth"}),
            "svid: its first certificate is no X.509-SVID: extended key usage without clientAuth");
  MaterialText broken = text(ca_.issue(kWeb));
  const std::string whole = broken.svid_pem;
  broken.svid_pem = whole.substr(0, whole.size() / 2);
  EXPECT_EQ(refusal(broken), "svid: a certificate in it is broken");
  broken.svid_pem = "";
  EXPECT_EQ(refusal(broken), "svid: there is no certificate in it");
  broken.svid_pem = broken.key_pem;
  EXPECT_EQ(refusal(broken), "svid: there is no certificate in it");
  broken.svid_pem.clear();
  for (int i = 0; i < 9; ++i)
    broken.svid_pem += whole;
  EXPECT_EQ(refusal(broken), "svid: there are more than 8 certificates in it");
}

TEST_F(BuildMaterial, NamesWhatIsWrongWithTheKey) {
  MaterialText other = text(ca_.issue(kWeb));
  other.key_pem = test::make_key_pem(KeyType::p256);
  EXPECT_EQ(refusal(other), "key: it does not belong to the SVID");
  other.key_pem = test::make_key_pem(KeyType::p256, "secret");
  EXPECT_EQ(refusal(other),
            "key: it is encrypted, and an agent has nobody to ask for the passphrase");
  other.key_pem = other.svid_pem;
  EXPECT_EQ(refusal(other), "key: there is no private key in it that can be read");
}

TEST_F(BuildMaterial, NeverQuotesTheKey) {
  MaterialText broken = text(ca_.issue(kWeb));
  broken.key_pem.resize(broken.key_pem.size() / 2);
  const auto built = build_material(broken);
  ASSERT_FALSE(built);
  const std::string middle = broken.key_pem.substr(broken.key_pem.size() - 20);
  EXPECT_THAT(describe(built.error()), ::testing::Not(HasSubstr(middle)));
}

TEST_F(BuildMaterial, NamesWhatIsWrongWithABundle) {
  MaterialText wrong = text(ca_.issue(kWeb));
  wrong.bundle_pems["other.test"] = ca_.issue("spiffe://other.test/x").cert_pem;
  EXPECT_EQ(refusal(wrong),
            "bundle other.test: certificate 1 cannot be a trust anchor: not a CA certificate");
  wrong.bundle_pems["other.test"] = "no PEM";
  EXPECT_EQ(refusal(wrong), "bundle other.test: there is no certificate in it");
  wrong = text(ca_.issue(kWeb));
  wrong.bundle_pems["Other"] = ca_.cert_pem();
  EXPECT_EQ(refusal(wrong), "bundle Other: \"Other\" is no trust domain");
}

TEST_F(BuildMaterial, WantsAWayFromTheSvidToItsOwnBundle) {
  MaterialText wrong = text(ca_.issue(kWeb));
  wrong.bundle_pems["mesh.test"] = TestCa("mesh.test").cert_pem();
  EXPECT_THAT(refusal(wrong), HasSubstr("svid: it does not lead to the bundle of \"mesh.test\": "));
  wrong.bundle_pems = {{"other.test", ca_.cert_pem()}};
  EXPECT_EQ(refusal(wrong), "svid: its trust domain \"mesh.test\" has no bundle");
}

TEST_F(BuildMaterial, TakesAnAnchorWithoutKeyUsage) {
  auto options = test::ca_options("old root");
  options.key_usage = "";
  const TestCa old("mesh.test", options);
  const Issued own = old.issue(kWeb);
  EXPECT_EQ(refusal({own.cert_pem, own.key_pem, {{"mesh.test", old.cert_pem()}}}), "");
}

/// "part: message", or "" when it was accepted.
template <class T>
std::string refusal_of(const Checked<T>& built) {
  return built ? "" : built.error().path + ": " + built.error().message;
}

TEST(BuildPresented, TakesALeafOfAKuma214Mesh) {
  const TestCa ca("default");
  const Issued own =
      ca.issue("spiffe://default/web",
               {.extra_names = {"URI:kuma://kuma.io/service/web", "URI:kuma://version/1"}});
  const auto presented = build_presented(own.cert_pem, own.key_pem);
  ASSERT_TRUE(presented) << describe(presented.error());
  EXPECT_EQ((*presented)->spiffe_id, "spiffe://default/web");
  EXPECT_EQ((*presented)->chain.size(), 1U);
  EXPECT_GT((*presented)->not_after, std::chrono::system_clock::now() + hours(23));
}

TEST(BuildPresented, TakesAServerCertificateWithoutSpiffeId) {
  const Issued own = TestCa("admin").issue("", {.extra_names = {"IP:10.0.0.1"}});
  const auto presented = build_presented(own.cert_pem, own.key_pem);
  ASSERT_TRUE(presented) << describe(presented.error());
  EXPECT_EQ((*presented)->spiffe_id, "");
  EXPECT_FALSE((*presented)->names.empty());
}

TEST(BuildPresented, NamesWhatIsWrong) {
  const TestCa ca("mesh.test");
  const Issued own = ca.issue(kWeb);
  EXPECT_EQ(refusal_of(build_presented("", own.key_pem)),
            "certificate: there is no certificate in it");
  EXPECT_EQ(refusal_of(build_presented(own.cert_pem, ca.issue(kWeb).key_pem)),
            "key: it does not belong to the certificate");
  EXPECT_EQ(refusal_of(build_presented(own.cert_pem, "")),
            "key: there is no private key in it that can be read");
  const Issued odd = ca.issue("", {.extra_names = {"URI:two words"}});
  EXPECT_EQ(
      refusal_of(build_presented(odd.cert_pem, odd.key_pem)),
      "certificate: its names cannot be read: a subject alternative name that is no printable "
      "text");
}

TEST(BuildTrusted, ByTrustDomainWhoseCaSpeaksForNoOther) {
  const TestCa mesh("mesh.test");
  const TestCa other("other.test");
  const auto trusted =
      build_trusted({{"mesh.test", mesh.cert_pem()}, {"other.test", other.cert_pem()}});
  ASSERT_TRUE(trusted) << describe(trusted.error());
  EXPECT_FALSE((*trusted)->any);
  const Fingerprint anchor = (*trusted)->bundles.at("mesh.test").fingerprints.front();
  EXPECT_TRUE((*trusted)->contains(kWeb, anchor));
  EXPECT_FALSE((*trusted)->contains("spiffe://other.test/web", anchor));
  EXPECT_FALSE((*trusted)->contains("", anchor));
  EXPECT_EQ(refusal_of(build_trusted({{"Mesh", mesh.cert_pem()}})),
            "bundle Mesh: \"Mesh\" is no trust domain");
}

TEST(BuildTrusted, ForAnyNameByAPlainCa) {
  const TestCa ca("default");
  const auto trusted = build_trusted_any(ca.cert_pem());
  ASSERT_TRUE(trusted) << describe(trusted.error());
  const TrustBundle* any = (*trusted)->any ? &*(*trusted)->any : nullptr;
  ASSERT_NE(any, nullptr);
  const Fingerprint anchor = any->fingerprints.front();
  EXPECT_TRUE((*trusted)->contains("", anchor));
  EXPECT_TRUE((*trusted)->contains("spiffe://default/web", anchor));
  EXPECT_FALSE((*trusted)->contains("spiffe://default/web", Fingerprint{1}));
  EXPECT_EQ(refusal_of(build_trusted_any("")), "CA: there is no certificate in it");
  EXPECT_EQ(refusal_of(build_trusted_any(ca.issue("").cert_pem)), "");  // a server's own
}

TEST(PairMaterial, TakesEitherHalfAlone) {
  const TestCa ca("mesh.test");
  const Issued own = ca.issue(kWeb);
  const PresentedPtr presented = *build_presented(own.cert_pem, own.key_pem);
  const MaterialPtr first = pair_material(presented, nullptr);
  EXPECT_EQ(first->id(), kWeb);
  EXPECT_EQ(first->trusted, nullptr);
  EXPECT_NE(first->ticket_keys, pair_material(presented, nullptr)->ticket_keys);
  EXPECT_EQ(pair_material(nullptr, *build_trusted_any(ca.cert_pem()))->id(), "");
}

}  // namespace
}  // namespace mooring::identity
