#include "tls/verify.h"

#include <gtest/gtest.h>
#include <openssl/x509.h>

#include "support/pki.h"

namespace mooring::tls {
namespace {

struct ChainFree {
  void operator()(STACK_OF(X509) * chain) const noexcept { sk_X509_pop_free(chain, X509_free); }
};
using ChainPtr = std::unique_ptr<STACK_OF(X509), ChainFree>;

class VerifyPeer : public ::testing::Test {
 protected:
  /// As libssl parsed it: new certificates each time.
  static ChainPtr presented(const std::string& pem) {
    ChainPtr chain(sk_X509_new_null());
    auto parsed = *identity::parse_certificates(pem, 100);
    for (identity::X509Ptr& one : parsed)
      sk_X509_push(chain.get(), one.release());
    return chain;
  }
  auto verify(const ChainPtr& chain) {
    return verifier_.verify(chain.get(), now_, scratch_.impl());
  }

  test::TestCa ca_{"mesh.test"};
  Scratch scratch_;
  WallTime now_ = std::chrono::system_clock::now();
  PeerVerifier verifier_{ca_.material("spiffe://mesh.test/db")->trusted, identity::Purpose::client};
};

TEST_F(VerifyPeer, VerifiesAKnownChainOnce) {
  const std::string pem = ca_.issue("spiffe://mesh.test/web").cert_pem;
  const auto first = verify(presented(pem));
  const auto second = verify(presented(pem));
  ASSERT_TRUE(first && second);
  EXPECT_EQ(*first, *second);  // the same object: nothing was verified anew
}

TEST_F(VerifyPeer, KeepsOneParsedLeafForAllConnections) {
  const std::string pem = ca_.intermediate().issue("spiffe://mesh.test/web").cert_pem;
  const ChainPtr first = presented(pem);
  const ChainPtr second = presented(pem);
  ASSERT_EQ(sk_X509_num(first.get()), 2);
  ASSERT_TRUE(verify(first) && verify(second));
  EXPECT_EQ(sk_X509_num(first.get()), 1);
  EXPECT_EQ(sk_X509_num(second.get()), 1);
  EXPECT_EQ(sk_X509_value(first.get(), 0), sk_X509_value(second.get(), 0));
}

TEST_F(VerifyPeer, KnowsAChainByAllOfIt) {
  const test::TestCa site = ca_.intermediate();
  const std::string whole = site.issue("spiffe://mesh.test/web").cert_pem;
  ASSERT_TRUE(verify(presented(whole)));
  // The same leaf without its issuer does not lead anywhere, whatever was seen before.
  EXPECT_FALSE(verify(presented(whole.substr(0, whole.find("-----BEGIN", 1)))));
}

TEST_F(VerifyPeer, KeepsNothingThatItRefused) {
  const std::string pem = test::TestCa("mesh.test").issue("spiffe://mesh.test/web").cert_pem;
  for (int i = 0; i < 2; ++i) {
    const ChainPtr chain = presented(pem);
    const auto refused = verify(chain);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().failure, Failure::untrusted);
  }
}

TEST_F(VerifyPeer, ForgetsTheChainUnusedForLongest) {
  const std::string kept = ca_.issue("spiffe://mesh.test/kept").cert_pem;
  const std::string lost = ca_.issue("spiffe://mesh.test/lost").cert_pem;
  const PeerFactsPtr kept_facts = *verify(presented(kept));
  const PeerFactsPtr lost_facts = *verify(presented(lost));
  for (std::size_t i = 0; i < PeerVerifier::kCachedChains - 1; ++i) {
    ASSERT_EQ(*verify(presented(kept)), kept_facts);
    ASSERT_TRUE(verify(presented(ca_.issue("spiffe://mesh.test/" + std::to_string(i)).cert_pem)));
  }
  EXPECT_EQ(*verify(presented(kept)), kept_facts);
  EXPECT_NE(*verify(presented(lost)), lost_facts);
}

TEST_F(VerifyPeer, VerifiesAnewWhenTheTimeIsUp) {
  const std::string pem = ca_.issue("spiffe://mesh.test/web").cert_pem;
  ASSERT_TRUE(verify(presented(pem)));
  now_ += std::chrono::hours(25);
  const auto late = verify(presented(pem));
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error().failure, Failure::expired);
}

}  // namespace
}  // namespace mooring::tls
