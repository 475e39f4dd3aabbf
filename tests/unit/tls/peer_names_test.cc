// Peers by their names: those of a mesh whose trust is a plain CA, and what each end expects.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "support/raw_peer.h"
#include "unit/tls/fixture.h"

namespace mooring::tls {
namespace {

using identity::NameMatcher;
using identity::NameType;
using test::CertOptions;
using test::Issued;
using test::RawPeer;
using test::TestCa;
using test::TlsEnd;
using test::TlsPair;
using ::testing::ElementsAre;

constexpr const char* kWebTag = "kuma://kuma.io/service/web";
constexpr auto kPrefix = NameMatcher::Kind::prefix;

class PeerNames : public test::TlsFixture {
 protected:
  using Matchers = std::vector<NameMatcher>;

  identity::PresentedPtr presented(std::string_view id, const CertOptions& options = {}) const {
    const Issued own = ca_.issue(id, options);
    return *identity::build_presented(own.cert_pem, own.key_pem);
  }
  identity::TrustedPtr any() const { return *identity::build_trusted_any(ca_.cert_pem()); }
  identity::TrustedPtr by_domain() const {
    return *identity::build_trusted({{"mesh.test", ca_.cert_pem()}});
  }
  /// A Kuma 2.14 mesh: several URI names, one CA for all of them.
  void legacy_mesh() {
    client(pair_material(presented(test::kWeb, {.extra_names = {std::string("URI:") + kWebTag}}),
                         any()));
    server(pair_material(presented(test::kDb, {.extra_names = {"URI:kuma://kuma.io/service/db"}}),
                         any()));
  }
  /// Why a plain libssl client with that certificate is refused by our server.
  Failure raw_client(const std::optional<Issued>& own, const Matchers& expected = {}) {
    last_ = TlsEnd{*server_->make_server({.expected_peers = expected})};
    RawPeer(Role::client, own).run(last_);
    return last_.failure;
  }
  Failure raw_server(const Issued& own, const Matchers& expected = {}) {
    last_ = TlsEnd{*client_->make_client({.expected_peers = expected})};
    last_.take(last_.session->start());
    RawPeer(Role::server, own).run(last_);
    return last_.failure;
  }
  std::vector<std::string> names() const { return test::texts(last_.session->peer().names); }

  TlsEnd last_;
};

TEST_F(PeerNames, ACertificateOfAKuma214MeshHasAllOfItsNames) {
  legacy_mesh();
  TlsPair pair = connect();
  ASSERT_TRUE(pair.run()) << to_string(pair.server.failure) << to_string(pair.client.failure);
  const PeerInfo& peer = pair.server.session->peer();
  EXPECT_EQ(peer.spiffe_id, test::kWeb);
  EXPECT_THAT(test::texts(peer.names), ElementsAre(test::kWeb, kWebTag));
  const auto root = identity::parse_certificates(ca_.cert_pem(), 1);
  EXPECT_EQ(peer.trust_anchor, identity::fingerprint(*root->front()));
  EXPECT_EQ(pair.client.session->peer().spiffe_id, test::kDb);
}

TEST_F(PeerNames, ConnectionsOfAPeerShareThem) {
  legacy_mesh();
  TlsPair first = connect({});
  TlsPair second = connect({});
  ASSERT_TRUE(first.run() && second.run());
  EXPECT_EQ(first.server.session->peer().names.get(), second.server.session->peer().names.get());
}

TEST_F(PeerNames, OfAPlainCaAreAnyAndAsManyAsTheyLike) {
  server(pair_material(presented(test::kDb), any()));
  EXPECT_EQ(raw_client(ca_.issue("spiffe://elsewhere/web")), Failure::none);
  EXPECT_EQ(last_.session->peer().spiffe_id, "spiffe://elsewhere/web");
  EXPECT_EQ(raw_client(ca_.issue("", {.subject = "no names at all"})), Failure::none);
  EXPECT_EQ(last_.session->peer().spiffe_id, "");
  EXPECT_NE(last_.session->peer().names, nullptr);
  EXPECT_EQ(raw_client(ca_.issue(test::kWeb, {.extra_names = {"URI:spiffe://mesh.test/batch"}})),
            Failure::none);
  EXPECT_EQ(last_.session->peer().spiffe_id, "");  // two: neither is the one
  EXPECT_THAT(names(), ElementsAre(test::kWeb, "spiffe://mesh.test/batch"));
  // Rules of X.509-SVID, and not of a plain CA.
  EXPECT_EQ(raw_client(ca_.issue(test::kWeb, {.key_usage = ""})), Failure::none);
}

TEST_F(PeerNames, OfAPlainCaComeWithAChainToIt) {
  server(pair_material(presented(test::kDb), any()));
  client(pair_material(presented(test::kWeb), any()));
  EXPECT_EQ(raw_client(ca_.intermediate().issue(test::kWeb)), Failure::none);
  EXPECT_EQ(raw_client(TestCa("mesh.test").issue(test::kWeb)), Failure::untrusted);
  EXPECT_EQ(raw_server(TestCa("mesh.test").issue(test::kDb)), Failure::untrusted);
  EXPECT_EQ(raw_client(std::nullopt), Failure::no_peer_certificate);
  const auto now = clock_.wall();
  EXPECT_EQ(raw_client(ca_.issue(test::kWeb, {.not_after = now - std::chrono::minutes(1)})),
            Failure::expired);
  EXPECT_EQ(raw_client(ca_.issue(test::kWeb, {.extended_key_usage = "serverAuth"})),
            Failure::bad_identity);
  EXPECT_EQ(raw_server(ca_.issue(test::kDb, {.extended_key_usage = "clientAuth"})),
            Failure::bad_identity);
  EXPECT_EQ(raw_client(ca_.issue("", {.extra_names = {"URI:two words"}})), Failure::bad_identity);
  EXPECT_EQ(last_.session->failure_text(), "a subject alternative name that is no printable text");
}

TEST_F(PeerNames, AreNotVouchedForByATrustedCertificateThatIsNoCa) {
  auto options = test::ca_options("host.test");
  options.basic_constraints = "critical,CA:FALSE";
  options.key_usage = "critical,digitalSignature";
  const TestCa self("self", options);
  client(pair_material(nullptr, *identity::build_trusted_any(self.cert_pem())));
  EXPECT_EQ(raw_server(self.issue(test::kDb)), Failure::untrusted);
}

TEST_F(PeerNames, AreExpectedByTheClient) {
  legacy_mesh();
  const Matchers right{{.text = "spiffe://mesh.test/other"}, {.text = test::kDb}};
  const Matchers by_tag{{.kind = kPrefix, .text = "kuma://kuma.io/service/"}};
  EXPECT_TRUE(connect({.expected_peers = right}).run());
  EXPECT_TRUE(connect({.expected_peers = by_tag}).run());
}

TEST_F(PeerNames, ThatTheClientDidNotExpectEndTheHandshake) {
  legacy_mesh();
  const Matchers wrong{{.text = test::kWeb}, {.type = NameType::dns, .text = test::kDb}};
  TlsPair pair = connect({.expected_peers = wrong});
  EXPECT_FALSE(pair.run());
  EXPECT_EQ(pair.client.failure, Failure::unexpected_peer);
  EXPECT_EQ(pair.client.session->peer().spiffe_id, test::kDb);  // whom it met instead
  EXPECT_EQ(pair.server.failure, Failure::peer_alert);
}

TEST_F(PeerNames, AreExpectedByTheServer) {
  const Matchers of_domain{{.kind = kPrefix, .text = "spiffe://mesh.test/"}};
  const Matchers of_other{{.kind = kPrefix, .text = "spiffe://other.test/"}};
  const Issued web = ca_.issue(test::kWeb);
  const auto outcomes = [&](const identity::TrustedPtr& trusted) {
    server(pair_material(presented(test::kDb), trusted));
    // The chain is known from the second on.
    return std::vector{raw_client(web, of_domain), raw_client(web), raw_client(web, of_other)};
  };
  const auto as_expected = ElementsAre(Failure::none, Failure::none, Failure::unexpected_peer);
  EXPECT_THAT(outcomes(any()), as_expected);
  EXPECT_THAT(outcomes(by_domain()), as_expected);
  EXPECT_FALSE(last_.handshake_done);
  EXPECT_EQ(last_.session->peer().names, nullptr);
}

TEST_F(PeerNames, OfATrustDomainAreSpiffeIdsAlone) {
  // Its CA may sign what it likes: the domain is no warrant for a DNS name.
  server(pair_material(presented(test::kDb), by_domain()));
  const Issued web = ca_.issue(test::kWeb, {.extra_names = {"DNS:kuma-cp"}});
  EXPECT_EQ(raw_client(web), Failure::none);
  EXPECT_THAT(names(), ElementsAre(test::kWeb));
  EXPECT_EQ(raw_client(web, {{.type = NameType::dns, .text = "kuma-cp"}}),
            Failure::unexpected_peer);
  EXPECT_EQ(raw_client(ca_.issue(test::kWeb, {.extra_names = {std::string("URI:") + kWebTag}})),
            Failure::bad_identity);
}

TEST_F(PeerNames, OfAControlPlaneAtAListenerOfItsOwn) {
  // system_envoy_admin: a certificate for an address, and clients by DNS name.
  const TestCa admin("admin");
  const Issued own = admin.issue("", {.extra_names = {"IP:10.0.0.1"}});
  const auto trusted = *identity::build_trusted_any(admin.cert_pem());
  server(pair_material(*identity::build_presented(own.cert_pem, own.key_pem), trusted));
  const Matchers control_plane{{.type = NameType::dns, .text = "kuma-cp"}};
  const auto named = [](const char* name) { return CertOptions{.extra_names = {name}}; };
  EXPECT_EQ(raw_client(admin.issue("", named("DNS:kuma-cp")), control_plane), Failure::none);
  EXPECT_EQ(raw_client(admin.issue("", named("DNS:kuma-cp2")), control_plane),
            Failure::unexpected_peer);
  EXPECT_EQ(raw_client(admin.issue("", named("URI:kuma-cp")), control_plane),
            Failure::unexpected_peer);
  EXPECT_EQ(raw_client(admin.issue("", {.subject = "kuma-cp"}), control_plane),
            Failure::unexpected_peer);
  EXPECT_EQ(raw_client(ca_.issue("", named("DNS:kuma-cp")), control_plane), Failure::untrusted);
  EXPECT_EQ(raw_client(std::nullopt, control_plane), Failure::no_peer_certificate);
  // And back: the client asks for the address.
  client(pair_material(nullptr, trusted));
  EXPECT_EQ(raw_server(own, {{.type = NameType::ip_address, .text = "10.0.0.1"}}), Failure::none);
  EXPECT_EQ(raw_server(own, {{.type = NameType::ip_address, .text = "10.0.0.2"}}),
            Failure::unexpected_peer);
}

TEST_F(PeerNames, AClientNeedNoneOfItsOwn) {
  client(pair_material(nullptr, by_domain()));
  EXPECT_EQ(raw_server(ca_.issue(test::kDb)), Failure::none);
  EXPECT_TRUE(last_.handshake_done);
  EXPECT_THAT(names(), ElementsAre(test::kDb));
  server(ca_.material(test::kDb));
  TlsPair pair = connect();
  pair.run();
  EXPECT_FALSE(pair.server.handshake_done);
  EXPECT_EQ(pair.server.failure, Failure::no_peer_certificate);
}

TEST_F(PeerNames, OfAServerThatIsNotVerifiedAreNotSaid) {
  client(pair_material(presented(test::kWeb), nullptr));
  server(ca_.material(test::kDb));
  TlsPair pair = connect();
  ASSERT_TRUE(pair.run());
  EXPECT_EQ(pair.client.session->peer().names, nullptr);
  EXPECT_EQ(pair.client.session->peer().spiffe_id, "");
  EXPECT_EQ(pair.server.session->peer().spiffe_id, test::kWeb);
  EXPECT_EQ(raw_server(TestCa("stranger").issue("spiffe://stranger/db")), Failure::none);
}

TEST_F(PeerNames, OfAServerThatIsNotVerifiedCannotBeExpected) {
  client(pair_material(presented(test::kWeb), nullptr));
  const Matchers some{{.text = test::kDb}};
  const auto made = client_->make_client({.expected_peers = some});
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().code, Errc::bad_input);
}

TEST_F(PeerNames, AServerNeedsBothHalves) {
  const auto code = [&](identity::MaterialPtr material) {
    const auto made = Context::make(Role::server, std::move(material), {}, scratch_, clock_);
    return made ? Errc::bad_input : made.error().code;
  };
  EXPECT_EQ(code(pair_material(nullptr, any())), Errc::unsupported);
  EXPECT_EQ(code(pair_material(presented(test::kDb), nullptr)), Errc::unsupported);
  EXPECT_EQ(code(pair_material(presented(test::kDb), any())), Errc::bad_input);
}

}  // namespace
}  // namespace mooring::tls
