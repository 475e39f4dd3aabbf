// Resumption, and everything that ends it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "support/raw_peer.h"
#include "tls/resume.h"
#include "unit/tls/fixture.h"

namespace mooring::tls {
namespace {

using std::chrono::hours;
using std::chrono::minutes;
using test::TlsPair;

class Resume : public test::TlsFixture, public ::testing::WithParamInterface<bool> {
 protected:
  Parameters parameters() const { return GetParam() ? test::tls12() : Parameters{}; }
  /// A connection that ends in order. Returns whether it was resumed; both ends must agree.
  bool resumed(const Context::ClientOptions& options) {
    TlsPair pair = connect(options);
    EXPECT_TRUE(pair.run()) << to_string(pair.client.failure) << ", "
                            << to_string(pair.server.failure);
    EXPECT_EQ(pair.client.session->peer().resumed, pair.server.session->peer().resumed);
    EXPECT_EQ(pair.client.session->peer().spiffe_id, test::kDb);
    EXPECT_EQ(pair.server.session->peer().spiffe_id, test::kWeb);
    last_ = pair.server.session->peer();
    return pair.client.session->peer().resumed;
  }
  bool resumed() { return resumed({.sni = "", .expected_peers = {}, .resume_key = "db"}); }

  PeerInfo last_;
};

TEST_P(Resume, AsOftenAsItIsAsked) {
  both(parameters());
  EXPECT_FALSE(resumed());
  const PeerInfo full = last_;
  for (int i = 0; i < 5; ++i)
    EXPECT_TRUE(resumed()) << i;
  EXPECT_EQ(last_.trust_anchor, full.trust_anchor);
  EXPECT_EQ(last_.not_after, full.not_after);
  EXPECT_EQ(last_.names->packed(), full.names->packed());
}

TEST_P(Resume, CarriesBytes) {
  both(parameters());
  EXPECT_FALSE(resumed());
  TlsPair pair = connect();
  ASSERT_TRUE(pair.run());
  ASSERT_TRUE(pair.server.session->peer().resumed);
  pair.client.write("again");
  pair.server.write("and back");
  pair.run();
  EXPECT_EQ(pair.server.plain + pair.client.plain, "againand back");
}

TEST_P(Resume, AtAnotherWorkerOfTheServer) {
  const auto material = ca_.material(test::kDb);
  client(ca_.material(test::kWeb), parameters());
  server(material, parameters());
  EXPECT_FALSE(resumed());
  server(material, parameters());
  EXPECT_TRUE(resumed());
}

TEST_P(Resume, NotWhenItIsSwitchedOff) {
  Parameters off = parameters();
  off.resumption = false;
  client(ca_.material(test::kWeb), parameters());
  server(ca_.material(test::kDb), off);
  EXPECT_FALSE(resumed());
  EXPECT_FALSE(resumed());
  client(ca_.material(test::kWeb), off);
  server(ca_.material(test::kDb), parameters());
  EXPECT_FALSE(resumed());
  EXPECT_FALSE(resumed());
}

TEST_P(Resume, NotUnderAnotherKey) {
  both(parameters());
  EXPECT_FALSE(resumed());
  EXPECT_FALSE(resumed({.sni = "", .expected_peers = {}, .resume_key = "other"}));
  EXPECT_FALSE(resumed({.sni = "", .expected_peers = {}, .resume_key = ""}));
  EXPECT_FALSE(resumed({.sni = "", .expected_peers = {}, .resume_key = ""}));
}

TEST_P(Resume, NotUnderAnotherServerNameOrProtocol) {
  both(parameters());
  const std::vector<std::string> protocols{"kuma", "h2"};
  EXPECT_FALSE(resumed({.sni = "a", .resume_key = "db"}));
  EXPECT_FALSE(resumed({.sni = "b", .resume_key = "db"}));
  EXPECT_FALSE(resumed({.sni = "a", .alpn = protocols, .resume_key = "db"}));
  EXPECT_TRUE(resumed({.sni = "a", .resume_key = "db"}));
  EXPECT_TRUE(resumed({.sni = "a", .alpn = protocols, .resume_key = "db"}));
}

TEST_P(Resume, NotUnderOtherParametersOfTheServer) {
  const auto db = ca_.material(test::kDb);
  client(ca_.material(test::kWeb), parameters());
  server(db, parameters());
  EXPECT_FALSE(resumed());
  Parameters more = parameters();
  more.groups = {"P-256", "X25519"};
  server(db, more);
  EXPECT_FALSE(resumed());
  EXPECT_TRUE(resumed());
}

TEST_P(Resume, BringsTheNamesOfACertificateThatHasSeveral) {
  const auto any = *identity::build_trusted_any(ca_.cert_pem());
  const auto own = [&](const char* id, const std::string& tag) {
    const auto issued = ca_.issue(id, {.extra_names = {"URI:" + tag, "DNS:host.mesh"}});
    return identity::pair_material(*identity::build_presented(issued.cert_pem, issued.key_pem),
                                   any);
  };
  client(own(test::kWeb, "kuma://version/1"), parameters());
  server(own(test::kDb, "kuma://version/2"), parameters());
  EXPECT_FALSE(resumed());
  EXPECT_TRUE(resumed());
  EXPECT_THAT(test::texts(last_.names),
              ::testing::ElementsAre(test::kWeb, "kuma://version/1", "host.mesh"));
}

TEST_P(Resume, NotAPeerWithMoreNamesThanATicketCarries) {
  test::CertOptions many;
  for (int i = 0; i < 50; ++i)
    many.extra_names.push_back("URI:kuma://tag/" + std::string(90, 'a') + std::to_string(i));
  const auto issued = ca_.issue(test::kWeb, many);
  const auto any = *identity::build_trusted_any(ca_.cert_pem());
  client(identity::pair_material(*identity::build_presented(issued.cert_pem, issued.key_pem), any),
         parameters());
  const auto db = ca_.material(test::kDb);
  server(identity::pair_material(db->presented, any), parameters());
  EXPECT_FALSE(resumed());
  EXPECT_FALSE(resumed());
  EXPECT_EQ(test::texts(last_.names).size(), 51U);
}

TEST_P(Resume, NotWithAServerThatIsNotVerified) {
  client(identity::pair_material(ca_.material(test::kWeb)->presented, nullptr), parameters());
  server(ca_.material(test::kDb), parameters());
  for (int i = 0; i < 2; ++i) {
    TlsPair pair = connect();
    EXPECT_TRUE(pair.run());
    EXPECT_FALSE(pair.client.session->peer().resumed);
  }
}

TEST_P(Resume, NotAfterTheServersRotation) {
  both(parameters());
  EXPECT_FALSE(resumed());
  server(ca_.material(test::kDb), parameters());
  EXPECT_FALSE(resumed());
  EXPECT_TRUE(resumed());
}

TEST_P(Resume, NotAfterTheClientsRotation) {
  both(parameters());
  EXPECT_FALSE(resumed());
  client(ca_.material(test::kWeb), parameters());
  EXPECT_FALSE(resumed());
}

TEST_P(Resume, NotLongerThanTwoHoursAfterTheFullHandshake) {
  both(parameters());
  EXPECT_FALSE(resumed());
  clock_.advance(minutes(119));
  EXPECT_TRUE(resumed());
  clock_.advance(minutes(2));
  EXPECT_FALSE(resumed());
}

TEST_P(Resume, NotLongerThanTheClientsCertificate) {
  client(ca_.material(test::kWeb, {.not_after = clock_.wall() + minutes(30)}), parameters());
  server(ca_.material(test::kDb), parameters());
  EXPECT_FALSE(resumed());
  EXPECT_TRUE(resumed());
  clock_.advance(minutes(31));
  TlsPair pair = connect();
  EXPECT_FALSE(pair.run());
  EXPECT_EQ(pair.server.failure, Failure::expired);
}

TEST_P(Resume, NotLongerThanTheServersCertificate) {
  client(ca_.material(test::kWeb), parameters());
  server(ca_.material(test::kDb, {.not_after = clock_.wall() + minutes(30)}), parameters());
  EXPECT_FALSE(resumed());
  clock_.advance(minutes(31));
  TlsPair pair = connect();
  EXPECT_FALSE(pair.run());
  EXPECT_EQ(pair.client.failure, Failure::expired);
}

TEST_P(Resume, ChecksTheExpectedPeerAgain) {
  both(parameters());
  EXPECT_FALSE(resumed());
  const std::vector<identity::NameMatcher> other{{.text = "spiffe://mesh.test/cache"}};
  TlsPair pair = connect({.sni = "", .expected_peers = other, .resume_key = "db"});
  EXPECT_FALSE(pair.run());
  EXPECT_EQ(pair.client.failure, Failure::unexpected_peer);
}

TEST_P(Resume, AfterAStreamThatWasCutOff) {
  both(parameters());
  EXPECT_FALSE(resumed());
  {
    TlsPair pair = connect();
    ASSERT_TRUE(pair.run());
    EXPECT_EQ(pair.client.session->feed_eof().failure, Failure::truncated);
    EXPECT_EQ(pair.server.session->feed_eof().failure, Failure::truncated);
  }
  EXPECT_TRUE(resumed());
}

TEST_P(Resume, ManyConnectionsAtOnce) {
  both(parameters());
  EXPECT_FALSE(resumed());
  std::vector<TlsPair> pairs;
  pairs.reserve(16);
  for (int i = 0; i < 16; ++i)
    pairs.push_back(connect());
  for (TlsPair& pair : pairs) {
    EXPECT_TRUE(pair.run());
    EXPECT_TRUE(pair.client.session->peer().resumed);
  }
}

INSTANTIATE_TEST_SUITE_P(Versions, Resume, ::testing::Bool(), [](const auto& version) {
  return version.param ? "Tls12" : "Tls13";
});

TEST_F(Resume, TicketOfALibsslClientHoldsOurFacts) {
  server(ca_.material(test::kDb));
  test::TlsEnd ours{*server_->make_server()};
  SSL_SESSION* kept = nullptr;
  test::RawPeer peer(Role::client, ca_.issue(test::kWeb));
  peer.run(ours);
  kept = SSL_get1_session(peer.ssl());
  const SslSessionPtr session(kept);
  ASSERT_EQ(SSL_SESSION_has_ticket(kept), 1);
  EXPECT_LE(SSL_SESSION_get_ticket_lifetime_hint(kept), 7200U);
  EXPECT_GT(SSL_SESSION_get_ticket_lifetime_hint(kept), 7100U);
}

TEST_F(Resume, TakesNoEarlyData) {
  server(ca_.material(test::kDb));
  const auto web = ca_.issue(test::kWeb);
  test::TlsEnd first{*server_->make_server()};
  test::RawPeer full(Role::client, web);
  full.run(first);
  SSL_set_shutdown(full.ssl(), SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
  const SslSessionPtr session(SSL_get1_session(full.ssl()));
  ASSERT_EQ(SSL_SESSION_has_ticket(session.get()), 1);
  EXPECT_EQ(SSL_SESSION_get_max_early_data(session.get()), 0U);
  ASSERT_EQ(SSL_SESSION_set_max_early_data(session.get(), 1000), 1);  // and a client that lies
  test::TlsEnd second{*server_->make_server()};
  test::RawPeer again(Role::client, web);
  SSL_set_session(again.ssl(), session.get());
  std::size_t written = 0;
  ASSERT_EQ(SSL_write_early_data(again.ssl(), "early", 5, &written), 1);
  again.run(second);
  EXPECT_TRUE(second.session->peer().resumed);
  EXPECT_EQ(SSL_get_early_data_status(again.ssl()), SSL_EARLY_DATA_REJECTED);
  EXPECT_EQ(second.plain, "");
}

/// Clients of libssl offer what they have: the server alone decides.
class ResumeByTheServer : public test::TlsFixture {
 protected:
  struct Outcome {
    SslSessionPtr session;
    bool done = false;
    bool resumed = false;
    Failure failure = Failure::none;
  };
  Outcome connect_raw(const test::Issued& own,
                      SSL_SESSION* offered = nullptr,
                      std::span<const identity::NameMatcher> expected = {},
                      bool is_tls12 = false) {
    test::TlsEnd ours{*server_->make_server({.expected_peers = expected})};
    test::RawPeer peer(Role::client, own, [&](SSL_CTX& context) {
      if (is_tls12) SSL_CTX_set_max_proto_version(&context, TLS1_2_VERSION);
    });
    if (offered != nullptr) SSL_set_session(peer.ssl(), offered);
    peer.run(ours);
    SSL_set_shutdown(peer.ssl(), SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    return {SslSessionPtr(SSL_get1_session(peer.ssl())),
            ours.handshake_done,
            ours.session->peer().resumed,
            ours.failure};
  }
  /// A session is offered, again after a while. Returns what became of the second offer; the first
  /// is resumed.
  Outcome offer_after(std::chrono::minutes pause, const test::Issued& own) {
    const Outcome full = connect_raw(own);
    const SslSessionPtr again(SSL_SESSION_dup(full.session.get()));
    EXPECT_TRUE(connect_raw(own, full.session.get()).resumed);
    clock_.advance(pause);
    return connect_raw(own, again.get());
  }
};

TEST_F(ResumeByTheServer, NotAfterTwoHours) {
  server(ca_.material(test::kDb));
  const Outcome late = offer_after(minutes(121), ca_.issue(test::kWeb));
  EXPECT_TRUE(late.done);
  EXPECT_FALSE(late.resumed);
}

TEST_F(ResumeByTheServer, NotAPeerThatIsNotExpectedThere) {
  // Two listeners of one material: what one of them trusts is a ticket for itself alone.
  server(ca_.material(test::kDb));
  const test::Issued web = ca_.issue(test::kWeb);
  for (const bool is_tls12 : {false, true}) {
    const auto connect_to = [&](std::span<const identity::NameMatcher> names,
                                SSL_SESSION* offered) {
      return connect_raw(web, offered, names, is_tls12);
    };
    const std::vector<identity::NameMatcher> others{{.text = "spiffe://mesh.test/other"}};
    const std::vector<identity::NameMatcher> all{
        {.kind = identity::NameMatcher::Kind::prefix, .text = "spiffe://mesh.test/"}};
    const Outcome full = connect_to({}, nullptr);
    ASSERT_TRUE(full.done);
    const SslSessionPtr again(SSL_SESSION_dup(full.session.get()));
    const SslSessionPtr once_more(SSL_SESSION_dup(full.session.get()));
    EXPECT_TRUE(connect_to(all, again.get()).resumed);
    const Outcome refused = connect_to(others, once_more.get());
    EXPECT_FALSE(refused.done);
    EXPECT_FALSE(refused.resumed);
    EXPECT_EQ(refused.failure, Failure::unexpected_peer);
  }
}

TEST_F(ResumeByTheServer, NotWhenThePeersCertificateHasExpired) {
  server(ca_.material(test::kDb));
  const auto soon = clock_.wall() + minutes(30);
  EXPECT_EQ(offer_after(minutes(31), ca_.issue(test::kWeb, {.not_after = soon})).failure,
            Failure::expired);
}

TEST_F(ResumeByTheServer, NotWhenItsOwnCertificateHasExpired) {
  server(ca_.material(test::kDb, {.not_after = clock_.wall() + minutes(30)}));
  const Outcome late = offer_after(minutes(31), ca_.issue(test::kWeb));
  EXPECT_TRUE(late.done);
  EXPECT_FALSE(late.resumed);
}

}  // namespace
}  // namespace mooring::tls
