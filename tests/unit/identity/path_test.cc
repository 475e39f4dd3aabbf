#include "identity/path.h"

#include <gtest/gtest.h>
#include <openssl/x509.h>

#include <memory>

#include "support/pki.h"

namespace mooring::identity {
namespace {

using test::ca_options;
using test::TestCa;

struct StackFree {
  void operator()(STACK_OF(X509) * stack) const noexcept { sk_X509_free(stack); }
};

/// Verifies the first certificate of the chain against the anchors' PEM.
Result<VerifiedPath> verify(const std::string& anchors,
                            const std::string& chain_pem,
                            Purpose purpose = Purpose::both,
                            std::optional<WallTime> at = std::chrono::system_clock::now(),
                            const char* trust_domain = "mesh.test") {
  TrustBundle bundle{trust_domain, *parse_certificates(anchors, 100), {}};
  auto chain = *parse_certificates(chain_pem, 100);
  const std::unique_ptr<STACK_OF(X509), StackFree> untrusted(sk_X509_new_null());
  for (const X509Ptr& certificate : chain)
    sk_X509_push(untrusted.get(), certificate.get());
  return verify_path(bundle, *chain.front(), untrusted.get(), purpose, at);
}

Errc refusal(const Result<VerifiedPath>& path) {
  return path ? Errc::closed : path.error().code;
}

constexpr const char* kWeb = "spiffe://mesh.test/web";

TEST(VerifyPath, EndsAtTheRoot) {
  const TestCa root("mesh.test");
  const auto path = verify(root.cert_pem(), root.issue(kWeb).cert_pem);
  ASSERT_TRUE(path);
  EXPECT_EQ(path->anchor, fingerprint(*parse_certificates(root.cert_pem(), 1)->front()));
}

TEST(VerifyPath, FindsItsWayThroughIntermediates) {
  const TestCa root("mesh.test");
  const auto soon = std::chrono::system_clock::now() + std::chrono::hours(2);
  auto options = ca_options("site");
  options.not_after = soon;
  const TestCa site = root.intermediate(options);
  const TestCa issuer = site.intermediate(ca_options("issuer"));
  const auto path = verify(root.cert_pem(), issuer.issue(kWeb).cert_pem);
  ASSERT_TRUE(path);
  EXPECT_EQ(path->anchor, fingerprint(*parse_certificates(root.cert_pem(), 1)->front()));
  EXPECT_EQ(path->not_after, std::chrono::floor<std::chrono::seconds>(soon));
}

TEST(VerifyPath, EndsAtAnAnchorThatIsNotSelfSigned) {
  const TestCa root("mesh.test");
  const TestCa issuer = root.intermediate();
  const auto path = verify(issuer.cert_pem(), issuer.issue(kWeb).cert_pem);
  ASSERT_TRUE(path);
  EXPECT_EQ(path->anchor, fingerprint(*parse_certificates(issuer.cert_pem(), 1)->front()));
}

TEST(VerifyPath, NeedsTheIntermediateThatTheHolderDidNotSend) {
  const TestCa root("mesh.test");
  const TestCa issuer = root.intermediate();
  const std::string leaf = issuer.issue(kWeb).cert_pem;
  EXPECT_EQ(refusal(verify(root.cert_pem(), leaf.substr(0, leaf.find("-----BEGIN", 1)))),
            Errc::untrusted);
}

TEST(VerifyPath, TellsRootsOfTheSameNameApart) {
  const TestCa root("mesh.test");
  const TestCa impostor("mesh.test");
  EXPECT_EQ(refusal(verify(root.cert_pem(), impostor.issue(kWeb).cert_pem)), Errc::untrusted);
  EXPECT_TRUE(verify(root.cert_pem() + impostor.cert_pem(), impostor.issue(kWeb).cert_pem));
}

TEST(VerifyPath, HonoursPathLength) {
  auto options = ca_options("root");
  options.basic_constraints = "critical,CA:TRUE,pathlen:0";
  const TestCa root("mesh.test", options);
  EXPECT_TRUE(verify(root.cert_pem(), root.issue(kWeb).cert_pem));
  EXPECT_EQ(refusal(verify(root.cert_pem(), root.intermediate().issue(kWeb).cert_pem)),
            Errc::untrusted);
}

TEST(VerifyPath, HonoursNameConstraints) {
  const TestCa root("mesh.test");
  auto options = ca_options("site");
  options.name_constraints = "critical,permitted;URI:mesh.test";
  const TestCa site = root.intermediate(options);
  EXPECT_TRUE(verify(root.cert_pem(), site.issue(kWeb).cert_pem));
  EXPECT_EQ(refusal(verify(root.cert_pem(), site.issue("spiffe://other.test/web").cert_pem)),
            Errc::untrusted);
  options.name_constraints = "critical,excluded;URI:mesh.test";
  EXPECT_EQ(refusal(verify(root.cert_pem(), root.intermediate(options).issue(kWeb).cert_pem)),
            Errc::untrusted);
}

TEST(VerifyPath, RefusesALeafThatSigns) {
  const TestCa root("mesh.test");
  auto options = ca_options("no CA");
  options.basic_constraints = "critical,CA:FALSE";
  EXPECT_EQ(refusal(verify(root.cert_pem(), root.intermediate(options).issue(kWeb).cert_pem)),
            Errc::untrusted);
}

TEST(VerifyPath, RefusesIntermediatesWithoutTheRightToSign) {
  const TestCa root("mesh.test");
  auto options = ca_options("site");
  options.key_usage = "critical,digitalSignature";
  EXPECT_EQ(refusal(verify(root.cert_pem(), root.intermediate(options).issue(kWeb).cert_pem)),
            Errc::untrusted);
  options.key_usage = "";
  const auto without = verify(root.cert_pem(), root.intermediate(options).issue(kWeb).cert_pem);
  ASSERT_EQ(refusal(without), Errc::untrusted);
  EXPECT_STREQ(without.error().place, "a CA certificate without key usage");
}

TEST(VerifyPath, AsksAPlainCasIntermediatesForLess) {
  const auto now = std::chrono::system_clock::now();
  const TestCa root("mesh.test");
  auto options = ca_options("site");
  options.key_usage = "";
  const std::string chain = root.intermediate(options).issue(kWeb).cert_pem;
  EXPECT_FALSE(verify(root.cert_pem(), chain, Purpose::both, now));
  EXPECT_TRUE(verify(root.cert_pem(), chain, Purpose::both, now, ""));
  options.basic_constraints = "critical,CA:FALSE";
  EXPECT_FALSE(verify(
      root.cert_pem(), root.intermediate(options).issue(kWeb).cert_pem, Purpose::both, now, ""));
}

TEST(VerifyPath, LetsAServersOwnCertificateStandForItself) {
  auto options = ca_options("host.test");
  options.basic_constraints = "critical,CA:FALSE";
  options.key_usage = "critical,digitalSignature";
  const TestCa self("self", options);
  const auto now = std::chrono::system_clock::now();
  EXPECT_TRUE(verify(self.cert_pem(), self.cert_pem(), Purpose::server, now, ""));
  EXPECT_FALSE(verify(TestCa("self").cert_pem(), self.cert_pem(), Purpose::server, now, ""));
}

TEST(VerifyPath, LooksAtEveryCertificatesPeriod) {
  const TestCa root("mesh.test");
  const auto now = std::chrono::system_clock::now();
  auto options = ca_options("site");
  options.not_after = now + std::chrono::hours(1);
  const std::string chain = root.intermediate(options).issue(kWeb).cert_pem;
  EXPECT_TRUE(verify(root.cert_pem(), chain, Purpose::both, now));
  EXPECT_EQ(refusal(verify(root.cert_pem(), chain, Purpose::both, now + std::chrono::hours(2))),
            Errc::expired);
  EXPECT_EQ(refusal(verify(root.cert_pem(), chain, Purpose::both, now - std::chrono::hours(2))),
            Errc::expired);
  EXPECT_TRUE(verify(root.cert_pem(), chain, Purpose::both, std::nullopt));
}

TEST(VerifyPath, BoundsItsLength) {
  const TestCa root("mesh.test");
  std::vector<TestCa> chain;
  chain.push_back(root.intermediate());
  for (int i = 0; i < 5; ++i)
    chain.push_back(chain.back().intermediate());
  EXPECT_TRUE(verify(root.cert_pem(), chain.back().issue(kWeb).cert_pem));  // 1 + 6 + 1 = 8
  chain.push_back(chain.back().intermediate());
  EXPECT_EQ(refusal(verify(root.cert_pem(), chain.back().issue(kWeb).cert_pem)), Errc::untrusted);
}

TEST(VerifyPath, RefusesABrokenSignature) {
  const TestCa root("mesh.test");
  auto leaf = *parse_certificates(root.issue(kWeb).cert_pem, 1);
  unsigned char* der = nullptr;
  const int bytes = i2d_X509(leaf.front().get(), &der);
  der[bytes - 1] ^= 1;
  const unsigned char* from = der;
  const X509Ptr damaged(d2i_X509(nullptr, &from, bytes));
  OPENSSL_free(der);
  ASSERT_TRUE(damaged);
  TrustBundle bundle{"mesh.test", *parse_certificates(root.cert_pem(), 1), {}};
  EXPECT_EQ(refusal(verify_path(bundle, *damaged, nullptr, Purpose::both, std::nullopt)),
            Errc::untrusted);
}

}  // namespace
}  // namespace mooring::identity
