// Every way in which a handshake fails, and what is said about it.
#include <gtest/gtest.h>

#include "support/raw_peer.h"
#include "unit/tls/fixture.h"

namespace mooring::tls {
namespace {

using test::CertOptions;
using test::Issued;
using test::RawPeer;
using test::TestCa;
using test::TlsEnd;
using test::TlsPair;

class Refusal : public test::TlsFixture {
 protected:
  /// A plain libssl client with that certificate against our server; returns our end.
  TlsEnd raw_client(const std::optional<Issued>& own, const RawPeer::Tweak& tweak = {}) {
    if (!server_) server(ca_.material(test::kDb));
    TlsEnd ours{*server_->make_server()};
    RawPeer(Role::client, own, tweak).run(ours);
    return ours;
  }
  TlsEnd raw_server(const Issued& own, const RawPeer::Tweak& tweak = {}) {
    if (!client_) client(ca_.material(test::kWeb));
    TlsEnd ours{*client_->make_client({.sni = "", .expected_peers = {}, .resume_key = ""})};
    ours.take(ours.session->start());
    RawPeer(Role::server, own, tweak).run(ours);
    return ours;
  }
  TlsEnd fed(std::string_view bytes) {
    if (!server_) server(ca_.material(test::kDb));
    TlsEnd ours{*server_->make_server()};
    ours.take(ours.session->feed(std::as_bytes(std::span(bytes))));
    return ours;
  }
};

TEST_F(Refusal, PlaintextOnTheFirstByte) {
  const TlsEnd ours = fed("GET / HTTP/1.1\r\n\r\n");
  EXPECT_EQ(ours.failure, Failure::plaintext);
  EXPECT_EQ(ours.outgoing, "");
}

TEST_F(Refusal, GarbageInARecord) {
  const TlsEnd ours =
      fed(std::string_view("\x16\x03\x01\x00\x05"
                           "xxxxx",
                           10));
  EXPECT_EQ(ours.failure, Failure::protocol);
  EXPECT_NE(ours.session->failure_text(), "");
}

TEST_F(Refusal, AClientHelloThatIsTooLong) {
  // 17 KiB of payload in one record: RFC 8446 §5.1 allows 16.
  std::string record("\x16\x03\x01\x44\x00\x01\x00\x43\xfc", 9);
  record.resize(5 + 0x4400, 'x');
  EXPECT_EQ(fed(record).failure, Failure::protocol);
}

TEST_F(Refusal, AHandshakeWithoutEnd) {
  client(ca_.material(test::kWeb));
  TlsEnd ours{*client_->make_client({})};
  ours.take(ours.session->start());
  // HelloRequests, which a client lets pass while a handshake goes on (RFC 5246 §7.4.1.1): 4096 in
  // a record.
  std::string record("\x16\x03\x03\x40\x00", 5);
  record.append(16384, '\0');
  std::size_t fed_bytes = 0;
  while (ours.failure == Failure::none && fed_bytes < 1024 * 1024) {
    ours.take(ours.session->feed(std::as_bytes(std::span(record))));
    fed_bytes += record.size();
  }
  EXPECT_EQ(ours.failure, Failure::protocol);
  EXPECT_EQ(ours.session->failure_text(), "the handshake is too long");
  EXPECT_LE(fed_bytes, 64U * 1024 + record.size());
}

TEST_F(Refusal, AClientWithoutCertificate) {
  EXPECT_EQ(raw_client(std::nullopt).failure, Failure::no_peer_certificate);
  EXPECT_EQ(raw_client(std::nullopt,
                       [](SSL_CTX& c) { SSL_CTX_set_max_proto_version(&c, TLS1_2_VERSION); })
                .failure,
            Failure::no_peer_certificate);
}

TEST_F(Refusal, AnIssuerThatIsNotInTheBundle) {
  const TestCa impostor("mesh.test");
  EXPECT_EQ(raw_client(impostor.issue(test::kWeb)).failure, Failure::untrusted);
  EXPECT_EQ(raw_server(impostor.issue(test::kDb)).failure, Failure::untrusted);
}

TEST_F(Refusal, ATrustDomainWithoutBundle) {
  const TlsEnd ours = raw_client(ca_.issue("spiffe://elsewhere.test/web"));
  EXPECT_EQ(ours.failure, Failure::untrusted);
  EXPECT_EQ(ours.session->failure_text(), "no bundle for its trust domain");
}

TEST_F(Refusal, AnIssuerOfAnotherTrustDomain) {
  const TestCa other("other.test");
  server(ca_.material(test::kDb, {}, {&other}));
  EXPECT_EQ(raw_client(other.issue("spiffe://other.test/web")).failure, Failure::none);
  EXPECT_EQ(raw_client(other.issue("spiffe://mesh.test/web")).failure, Failure::untrusted);
}

TEST_F(Refusal, AnExpiredCertificateByOurClock) {
  client(ca_.material(test::kWeb));
  server(ca_.material(test::kDb, {.not_after = clock_.wall() + std::chrono::hours(1000)}));
  clock_.advance(std::chrono::hours(25));
  TlsPair pair = connect();
  EXPECT_FALSE(pair.run());
  EXPECT_EQ(pair.server.failure, Failure::expired);
  EXPECT_EQ(pair.server.session->failure_text(), "certificate has expired");
  EXPECT_EQ(pair.client.failure, Failure::peer_alert);
}

TEST_F(Refusal, ACertificateThatIsNotYetValid) {
  const CertOptions tomorrow{.not_before = clock_.wall() + std::chrono::hours(24),
                             .not_after = clock_.wall() + std::chrono::hours(48)};
  EXPECT_EQ(raw_client(ca_.issue(test::kWeb, tomorrow)).failure, Failure::expired);
  EXPECT_EQ(raw_server(ca_.issue(test::kDb, tomorrow)).failure, Failure::expired);
}

TEST_F(Refusal, AChainThatWasKnownAndHasExpiredSince) {
  server(ca_.material(test::kDb, {.not_after = clock_.wall() + std::chrono::hours(1000)}));
  const Issued own = ca_.issue(test::kWeb);
  EXPECT_EQ(raw_client(own).failure, Failure::none);
  EXPECT_EQ(raw_client(own).failure, Failure::none);
  clock_.advance(std::chrono::hours(25));
  EXPECT_EQ(raw_client(own).failure, Failure::expired);
}

TEST_F(Refusal, IdentitiesThatBreakTheSvidRules) {
  struct Case {
    const char* what;
    std::string id;
    CertOptions options;
  };
  const std::vector<Case> cases{
      {"no URI SAN", "", {.extra_names = {"DNS:web.mesh"}}},
      {"more than one URI SAN", test::kWeb, {.extra_names = {"URI:spiffe://mesh.test/other"}}},
      {"more than one URI SAN", test::kWeb, {.extra_names = {"URI:kuma://kuma.io/service/web"}}},
      {"the URI SAN is no SPIFFE ID", "https://mesh.test/web", {}},
      {"the SPIFFE ID of a leaf has no path", "spiffe://mesh.test", {}},
      {"a CA certificate where a leaf is needed",
       test::kWeb,
       {.basic_constraints = "critical,CA:TRUE"}},
      {"a leaf with keyCertSign or cRLSign",
       test::kWeb,
       {.key_usage = "critical,digitalSignature,keyCertSign"}},
      {"a leaf with keyCertSign or cRLSign",
       test::kWeb,
       {.key_usage = "critical,digitalSignature,cRLSign"}},
      {"no key usage", test::kWeb, {.key_usage = ""}},
      {"extended key usage without clientAuth", test::kWeb, {.extended_key_usage = "serverAuth"}},
  };
  for (const Case& one : cases) {
    const TlsEnd ours = raw_client(ca_.issue(one.id, one.options));
    EXPECT_EQ(ours.failure, Failure::bad_identity) << one.what;
    EXPECT_EQ(ours.session->failure_text(), one.what);
  }
  EXPECT_EQ(raw_server(ca_.issue(test::kDb, {.extended_key_usage = "clientAuth"})).failure,
            Failure::bad_identity);
  EXPECT_EQ(raw_server(ca_.issue(test::kDb, {.extended_key_usage = ""})).failure, Failure::none);
}

TEST_F(Refusal, APeerOtherThanTheExpectedOne) {
  both();
  constexpr auto kPrefix = identity::NameMatcher::Kind::prefix;
  const std::vector<identity::NameMatcher> other{
      {.text = "spiffe://mesh.test/cache"}, {.kind = kPrefix, .text = "spiffe://mesh.test/db/"}};
  TlsPair pair = connect({.sni = "", .expected_peers = other, .resume_key = ""});
  EXPECT_FALSE(pair.run());
  EXPECT_EQ(pair.client.failure, Failure::unexpected_peer);
  EXPECT_EQ(pair.server.failure, Failure::peer_alert);
  const std::vector<identity::NameMatcher> right{{.text = "spiffe://mesh.test/cache"},
                                                 {.kind = kPrefix, .text = "spiffe://mesh.test/d"}};
  pair = connect({.sni = "", .expected_peers = right, .resume_key = ""});
  EXPECT_TRUE(pair.run());
}

TEST_F(Refusal, ReachesTheClientAsAnAlert) {
  const TestCa impostor("mesh.test");
  client(impostor.material(test::kWeb, {}, {&ca_}));
  server(ca_.material(test::kDb));
  TlsPair pair = connect();
  // In TLS 1.3 the client is done before the server has looked at its certificate.
  pair.run();
  EXPECT_TRUE(pair.client.handshake_done);
  EXPECT_FALSE(pair.server.handshake_done);
  EXPECT_EQ(pair.client.failure, Failure::peer_alert);
  EXPECT_EQ(pair.client.session->failure_text(), "tlsv1 alert unknown ca");
}

TEST_F(Refusal, AVersionBelowTheLeast) {
  client(ca_.material(test::kWeb), test::tls12());
  server(ca_.material(test::kDb), {.min_version = Version::tls13});
  TlsPair pair = connect();
  EXPECT_FALSE(pair.run());
  EXPECT_EQ(pair.server.failure, Failure::protocol);
  EXPECT_EQ(pair.client.failure, Failure::peer_alert);
}

TEST_F(Refusal, Tls11AndStaticKeyExchange) {
  const auto tls11 = [](SSL_CTX& c) {
    SSL_CTX_set_min_proto_version(&c, TLS1_1_VERSION);
    SSL_CTX_set_max_proto_version(&c, TLS1_1_VERSION);
    SSL_CTX_set_cipher_list(&c, "ALL:@SECLEVEL=0");
  };
  EXPECT_EQ(raw_client(ca_.issue(test::kWeb), tls11).handshake_done, false);
  const auto with = [](const char* ciphers) {
    return [ciphers](SSL_CTX& c) {
      SSL_CTX_set_max_proto_version(&c, TLS1_2_VERSION);
      SSL_CTX_set_cipher_list(&c, ciphers);
    };
  };
  server(ca_.material(test::kDb, {.key = test::KeyType::rsa2048}));
  EXPECT_EQ(raw_client(ca_.issue(test::kWeb), with("AES128-GCM-SHA256")).failure,
            Failure::protocol);
  EXPECT_EQ(raw_client(ca_.issue(test::kWeb), with("ECDHE-RSA-AES128-SHA256")).failure,
            Failure::protocol);
  EXPECT_EQ(raw_client(ca_.issue(test::kWeb), with("ECDHE-RSA-AES128-GCM-SHA256")).failure,
            Failure::none);
}

TEST_F(Refusal, Tls12WithoutTheExtendedMasterSecret) {
  const auto tweak = [](SSL_CTX& context) {
    SSL_CTX_set_max_proto_version(&context, TLS1_2_VERSION);
    SSL_CTX_set_options(&context, SSL_OP_NO_EXTENDED_MASTER_SECRET);
  };
  const TlsEnd as_server = raw_client(ca_.issue(test::kWeb), tweak);
  EXPECT_EQ(as_server.failure, Failure::protocol);
  EXPECT_FALSE(as_server.handshake_done);
  EXPECT_EQ(as_server.session->failure_text(), "TLS 1.2 without extended master secret");
  EXPECT_EQ(raw_server(ca_.issue(test::kDb), tweak).failure, Failure::protocol);
}

TEST_F(Refusal, AChainThatIsTooLong) {
  Issued own = ca_.issue(test::kWeb);
  for (int i = 0; i < 9; ++i)
    own.cert_pem += ca_.cert_pem();
  EXPECT_EQ(raw_client(own).failure, Failure::untrusted);
  for (int i = 0; i < 90; ++i)
    own.cert_pem += ca_.cert_pem();  // 40 KiB
  EXPECT_EQ(raw_client(own).failure, Failure::protocol);
}

TEST_F(Refusal, WeakKeys) {
  EXPECT_EQ(raw_client(ca_.issue(test::kWeb, {.key = test::KeyType::rsa1024})).handshake_done,
            false);
  EXPECT_EQ(raw_client(ca_.issue(test::kWeb, {.key = test::KeyType::rsa2048})).failure,
            Failure::none);
  EXPECT_EQ(raw_client(ca_.issue(test::kWeb, {.key = test::KeyType::ed25519})).failure,
            Failure::none);
  EXPECT_EQ(raw_client(ca_.issue(test::kWeb, {.key = test::KeyType::p384})).failure, Failure::none);
}

TEST_F(Refusal, NamesOfCiphersAndGroupsThatWeDoNotHave) {
  const auto make = [&](const Parameters& parameters) {
    auto made = Context::make(Role::server, ca_.material(test::kDb), parameters, scratch_, clock_);
    return made ? Errc::bad_input : made.error().code;
  };
  EXPECT_EQ(make({.ciphers = {"TLS_RSA_WITH_AES_128_GCM_SHA256"}}), Errc::unsupported);
  EXPECT_EQ(make({.groups = {"X25519MLKEM768"}}), Errc::unsupported);
  EXPECT_EQ(
      make({.min_version = Version::tls13, .ciphers = {"TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"}}),
      Errc::unsupported);
  EXPECT_EQ(make({.min_version = Version::tls13, .max_version = Version::tls12}),
            Errc::unsupported);
  EXPECT_EQ(make({.max_version = Version::tls12, .ciphers = {"TLS_AES_256_GCM_SHA384"}}),
            Errc::unsupported);
  EXPECT_EQ(make({.ciphers = {"TLS_AES_256_GCM_SHA384"}, .groups = {"P-384"}}), Errc::bad_input);
}

}  // namespace
}  // namespace mooring::tls
