// Resumption, and everything that ends it.
#include <gtest/gtest.h>

#include "tls/resume.h"
#include "unit/tls/fixture.h"
#include "unit/tls/raw_peer.h"

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
  EXPECT_EQ(last_.trust_domain, full.trust_domain);
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
  const std::vector<PeerMatcher> other{{"spiffe://mesh.test/cache", false}};
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
  Outcome connect_raw(const test::Issued& own, SSL_SESSION* offered = nullptr) {
    test::TlsEnd ours{*server_->make_server()};
    test::RawPeer peer(Role::client, own);
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

TEST_F(Resume, NeedsTheAnchorThatVerifiedThePeer) {
  const auto material = ca_.material(test::kDb);
  const auto anchor = material->trusted->bundles.at("mesh.test").fingerprints.front();
  const auto facts = [&](const char* id, const identity::Fingerprint& its_anchor) {
    return ResumeFacts{std::make_shared<const PeerFacts>(PeerFacts{id, its_anchor, {}}),
                       clock_.wall() + hours(1)};
  };
  EXPECT_TRUE(may_resume(facts(test::kWeb, anchor), *material->trusted, clock_.wall()));
  EXPECT_FALSE(may_resume(facts(test::kWeb, {1}), *material->trusted, clock_.wall()));
  EXPECT_FALSE(
      may_resume(facts("spiffe://other.test/web", anchor), *material->trusted, clock_.wall()));
}

TEST(ClientSessions, ForgetsTheKeyUnusedForLongest) {
  ClientSessions sessions;
  const auto first = sessions.slot("first");
  const auto second = sessions.slot("second");
  for (std::size_t i = 0; i < ClientSessions::kMaxKeys - 2; ++i)
    static_cast<void>(sessions.slot(std::to_string(i)));
  EXPECT_EQ(sessions.slot("first"), first);
  static_cast<void>(sessions.slot("one too many"));
  EXPECT_EQ(sessions.slot("first"), first);
  EXPECT_NE(sessions.slot("second"), second);
}

TEST(ResumeFacts, SurviveTheirWayThroughASession) {
  const SslSessionPtr session(SSL_SESSION_new());
  const WallTime now = std::chrono::system_clock::now();
  const ResumeFacts facts{
      std::make_shared<const PeerFacts>(PeerFacts{"spiffe://a.test/b", {1, 2, 3}, now + hours(1)}),
      now};
  EXPECT_FALSE(get_facts(*session));
  ASSERT_TRUE(put_facts(*session, facts));
  const ResumeFacts read = get_facts(*session).value_or(ResumeFacts{});
  ASSERT_TRUE(read.peer);
  EXPECT_EQ(read.until, now);
  EXPECT_EQ(read.peer->spiffe_id, "spiffe://a.test/b");
  EXPECT_EQ(read.peer->anchor, facts.peer->anchor);
  EXPECT_EQ(read.peer->not_after, now + hours(1));
}

TEST(ResumeFacts, ReadsNothingFromWhatItDidNotWrite) {
  const SslSessionPtr session(SSL_SESSION_new());
  for (const std::string& text :
       {std::string(), std::string("x"), std::string(49, '\1'), std::string(60, '\2')}) {
    ASSERT_EQ(SSL_SESSION_set1_ticket_appdata(session.get(), text.data(), text.size()), 1);
    EXPECT_FALSE(get_facts(*session)) << text.size();
  }
}

}  // namespace
}  // namespace mooring::tls
