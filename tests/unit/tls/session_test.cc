#include "tls/session.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <thread>

#include "support/raw_peer.h"
#include "unit/tls/fixture.h"

namespace mooring::tls {
namespace {

using test::RawPeer;
using test::TlsPair;
using ::testing::ElementsAre;

std::string pattern(std::size_t bytes) {
  std::string text(bytes, '\0');
  for (std::size_t i = 0; i < bytes; ++i)
    text[i] = static_cast<char>(i * 2654435761U >> 13);
  return text;
}

class Session : public test::TlsFixture {};

TEST_F(Session, CarriesBytesBothWaysAfterAMutualHandshake) {
  both();
  TlsPair pair = connect();
  ASSERT_TRUE(pair.run());
  EXPECT_TRUE(pair.client.handshake_done);
  EXPECT_TRUE(pair.server.handshake_done);
  EXPECT_EQ(pair.client.session->peer().spiffe_id, test::kDb);
  EXPECT_EQ(pair.server.session->peer().spiffe_id, test::kWeb);
  EXPECT_THAT(test::texts(pair.server.session->peer().names), ElementsAre(test::kWeb));
  EXPECT_STREQ(pair.server.session->peer().version, "TLSv1.3");
  EXPECT_STREQ(pair.server.session->peer().cipher, "TLS_AES_128_GCM_SHA256");
  EXPECT_FALSE(pair.server.session->peer().resumed);
  pair.client.write("select 1");
  pair.server.write("one row");
  pair.run();
  EXPECT_EQ(pair.server.plain, "select 1");
  EXPECT_EQ(pair.client.plain, "one row");
}

TEST_F(Session, NamesTheAnchorAndTheEndOfThePeersPath) {
  const auto options = test::CertOptions{.not_after = clock_.wall() + std::chrono::hours(3)};
  client(ca_.material(test::kWeb, options));
  server(ca_.material(test::kDb));
  TlsPair pair = connect();
  ASSERT_TRUE(pair.run());
  const auto root = identity::parse_certificates(ca_.cert_pem(), 1);
  EXPECT_EQ(pair.server.session->peer().trust_anchor, identity::fingerprint(*root->front()));
  EXPECT_EQ(pair.server.session->peer().not_after,
            std::chrono::floor<std::chrono::seconds>(options.not_after));
}

TEST_F(Session, SpeaksTls12WithTheExtendedMasterSecret) {
  both(test::tls12());
  TlsPair pair = connect();
  ASSERT_TRUE(pair.run());
  EXPECT_STREQ(pair.client.session->peer().version, "TLSv1.2");
  EXPECT_STREQ(pair.client.session->peer().cipher, "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256");
  pair.client.write("old but sound");
  pair.run();
  EXPECT_EQ(pair.server.plain, "old but sound");
}

TEST_F(Session, TellsTheServerWhatTheClientAskedFor) {
  both();
  TlsPair pair = connect({.sni = "db.mesh", .expected_peers = {}, .resume_key = ""});
  ASSERT_TRUE(pair.run());
  EXPECT_EQ(pair.server.session->peer().sni, "db.mesh");
  EXPECT_EQ(pair.server.session->peer().alpn, "kuma");
}

TEST_F(Session, SelectsNoApplicationProtocol) {
  server(ca_.material(test::kDb));
  test::TlsEnd ours{*server_->make_server()};
  RawPeer peer(Role::client, ca_.issue(test::kWeb), [](SSL_CTX& context) {
    SSL_CTX_set_alpn_protos(&context, reinterpret_cast<const unsigned char*>("\4kuma\2h2"), 8);
  });
  peer.run(ours);
  ASSERT_TRUE(ours.handshake_done);
  const unsigned char* selected = nullptr;
  unsigned bytes = 0;
  SSL_get0_alpn_selected(peer.ssl(), &selected, &bytes);
  EXPECT_EQ(bytes, 0U);
  EXPECT_EQ(ours.session->peer().alpn, "kuma");
}

TEST_F(Session, OffersItsProtocolsInTheirOrder) {
  client(ca_.material(test::kWeb));
  const std::vector<std::string> protocols{"kuma", "h2"};
  test::TlsEnd ours{*client_->make_client({.alpn = protocols})};
  ours.take(ours.session->start());
  std::string offered;
  const auto see = [](SSL*,
                      const unsigned char**,
                      unsigned char*,
                      const unsigned char* list,
                      unsigned bytes,
                      void* to) {
    static_cast<std::string*>(to)->assign(reinterpret_cast<const char*>(list), bytes);
    return SSL_TLSEXT_ERR_NOACK;
  };
  RawPeer(Role::server, ca_.issue(test::kDb), [&](SSL_CTX& context) {
    SSL_CTX_set_alpn_select_cb(&context, see, &offered);
  }).run(ours);
  EXPECT_TRUE(ours.handshake_done);
  EXPECT_EQ(offered, "\4kuma\2h2");
}

TEST_F(Session, RefusesToOfferWhatIsNoProtocol) {
  client(ca_.material(test::kWeb));
  const auto refused = [&](const std::vector<std::string>& protocols) {
    const auto made = client_->make_client({.alpn = protocols});
    return !made && made.error().code == Errc::bad_input;
  };
  EXPECT_TRUE(refused({"kuma", ""}));
  EXPECT_TRUE(refused({std::string(256, 'a')}));
  EXPECT_TRUE(refused(std::vector<std::string>(5, std::string(255, 'a'))));
  EXPECT_FALSE(refused({std::string(255, 'a')}));
}

TEST_F(Session, SpeaksTheVersionsThatItsParametersSay) {
  const auto version = [&](const Parameters& of_client, const Parameters& of_server) {
    client(ca_.material(test::kWeb), of_client);
    server(ca_.material(test::kDb), of_server);
    TlsPair pair = connect();
    return std::string(pair.run() ? pair.client.session->peer().version : "none");
  };
  const Parameters only12{.max_version = Version::tls12};
  const Parameters only13{.min_version = Version::tls13};
  EXPECT_EQ(version({}, {}), "TLSv1.3");
  EXPECT_EQ(version(only12, {}), "TLSv1.2");  // an Envoy client without tls_params
  EXPECT_EQ(version({}, only12), "TLSv1.2");
  EXPECT_EQ(version(only13, {}), "TLSv1.3");
  EXPECT_EQ(version({}, only13), "TLSv1.3");
  EXPECT_EQ(version(only12, only13), "none");
  EXPECT_EQ(version(only13, only12), "none");
}

TEST_F(Session, AcceptsAPeerWithoutSniAndAlpn) {
  both();
  TlsPair pair = connect({.sni = "", .alpn = {}, .expected_peers = {}, .resume_key = ""});
  ASSERT_TRUE(pair.run());
  EXPECT_EQ(pair.server.session->peer().sni, "");
  EXPECT_EQ(pair.server.session->peer().alpn, "");
}

TEST_F(Session, WorksWhenBytesComeOneByOne) {
  both();
  TlsPair pair = connect();
  pair.piece = 1;
  ASSERT_TRUE(pair.run());
  const std::string text = pattern(40000);
  pair.client.write(text);
  pair.server.write(text);
  pair.run();
  EXPECT_EQ(pair.server.plain, text);
  EXPECT_EQ(pair.client.plain, text);
}

TEST_F(Session, CarriesTheLargestWrites) {
  both();
  TlsPair pair = connect();
  ASSERT_TRUE(pair.run());
  const std::string text = pattern(Scratch::kPlainBytes);
  for (int i = 0; i < 4; ++i) {
    pair.client.write(text);
    pair.run();
  }
  ASSERT_EQ(pair.server.plain.size(), 4 * text.size());
  EXPECT_EQ(pair.server.plain.substr(3 * text.size()), text);
}

TEST_F(Session, NeverAsksToBeFedAgainWithinTheStatedBound) {
  both();
  TlsPair pair = connect();
  ASSERT_TRUE(pair.run());
  // A record that is complete but for one byte waits inside; then as much as one feed() may be
  // given.
  pair.client.write(pattern(16384));
  std::string cipher = std::exchange(pair.client.outgoing, {});
  pair.server.take(
      pair.server.session->feed(std::as_bytes(std::span(cipher).first(cipher.size() - 1))));
  EXPECT_EQ(pair.server.plain.size(), 0U);
  std::string rest = cipher.substr(cipher.size() - 1);
  for (int i = 0; i < 2; ++i) {
    pair.client.write(pattern(Scratch::kPlainBytes));
    rest += std::exchange(pair.client.outgoing, {});
  }
  const Step step =
      pair.server.session->feed(std::as_bytes(std::span(rest).first(Scratch::kPlainBytes)));
  EXPECT_FALSE(step.more);
  EXPECT_GE(step.plain.size(), Scratch::kPlainBytes);
}

TEST_F(Session, SaysMoreWhenTheInputIsLargerThanItsScratch) {
  both();
  TlsPair pair = connect();
  ASSERT_TRUE(pair.run());
  const std::string text = pattern(Scratch::kPlainBytes);
  for (int i = 0; i < 3; ++i)
    pair.client.write(text);
  const std::string cipher = std::exchange(pair.client.outgoing, {});
  Step step = pair.server.session->feed(std::as_bytes(std::span(cipher)));
  EXPECT_TRUE(step.more);
  pair.server.take(step);
  EXPECT_EQ(pair.server.plain, text + text + text);
}

TEST_F(Session, SharesItsScratchWithOthers) {
  both();
  TlsPair first = connect();
  TlsPair second = connect();
  // Two handshakes at once over the one BIO, step by step.
  first.piece = second.piece = 100;
  ASSERT_TRUE(first.run());
  ASSERT_TRUE(second.run());
  // What one session decrypted is handed to another as it lies.
  first.client.write("through two tunnels");
  const std::string cipher = std::exchange(first.client.outgoing, {});
  const Step received = first.server.session->feed(std::as_bytes(std::span(cipher)));
  second.client.take(second.client.session->write(received.plain));
  second.run();
  EXPECT_EQ(second.server.plain, "through two tunnels");
}

TEST_F(Session, OutlivesItsContext) {
  both();
  TlsPair pair = connect();
  TlsPair halfway = connect();
  ASSERT_TRUE(pair.run());
  client_.reset();
  server_.reset();
  pair.client.write("still here");
  pair.run();
  EXPECT_EQ(pair.server.plain, "still here");
  EXPECT_TRUE(halfway.run());
}

TEST_F(Session, ClosesEachDirectionOnItsOwn) {
  both();
  TlsPair pair = connect();
  ASSERT_TRUE(pair.run());
  pair.client.write("the question");
  pair.client.take(pair.client.session->close_write());
  pair.run();
  EXPECT_EQ(pair.server.plain, "the question");
  EXPECT_TRUE(pair.server.peer_closed);
  EXPECT_FALSE(pair.client.peer_closed);
  pair.server.write("the answer");
  pair.run();
  EXPECT_EQ(pair.client.plain, "the answer");
  pair.server.take(pair.server.session->close_write());
  pair.run();
  EXPECT_TRUE(pair.client.peer_closed);
  EXPECT_EQ(pair.client.session->feed_eof().failure, Failure::none);
  EXPECT_EQ(pair.server.session->feed_eof().failure, Failure::none);
}

TEST_F(Session, ClosesHalfInTls12Too) {
  both(test::tls12());
  TlsPair pair = connect();
  ASSERT_TRUE(pair.run());
  pair.client.take(pair.client.session->close_write());
  pair.run();
  EXPECT_TRUE(pair.server.peer_closed);
  pair.server.write("the answer");
  pair.run();
  EXPECT_EQ(pair.client.plain, "the answer");
}

TEST_F(Session, IgnoresWhatComesAfterCloseNotify) {
  both();
  TlsPair pair = connect();
  ASSERT_TRUE(pair.run());
  pair.client.take(pair.client.session->close_write());
  pair.client.outgoing += "trailing garbage";
  pair.run();
  EXPECT_TRUE(pair.server.peer_closed);
  EXPECT_EQ(pair.server.failure, Failure::none);
  EXPECT_EQ(pair.server.plain, "");
}

TEST_F(Session, ReportsAStreamThatEndsWithoutCloseNotify) {
  both();
  TlsPair pair = connect();
  EXPECT_EQ(pair.server.session->feed_eof().failure, Failure::truncated);
  pair = connect();
  ASSERT_TRUE(pair.run());
  EXPECT_EQ(pair.server.session->feed_eof().failure, Failure::truncated);
  EXPECT_EQ(pair.server.session->feed_eof().failure, Failure::truncated);
}

TEST_F(Session, StaysFailed) {
  both();
  TlsPair pair = connect();
  ASSERT_TRUE(pair.run());
  pair.client.write("to be damaged");
  pair.client.outgoing.back() ^= 1;
  pair.run();
  EXPECT_EQ(pair.server.failure, Failure::protocol);
  EXPECT_EQ(pair.server.session->failure_text(), "decryption failed or bad record mac");
  pair.client.write("again");
  pair.run();
  EXPECT_EQ(pair.server.failure, Failure::protocol);
  EXPECT_EQ(pair.server.plain, "");
  EXPECT_EQ(pair.client.failure, Failure::peer_alert);
}

TEST_F(Session, AnswersARequestToRenegotiateWithARefusal) {
  server(ca_.material(test::kDb));
  test::TlsEnd ours{*server_->make_server()};
  RawPeer peer(Role::client, ca_.issue(test::kWeb), [](SSL_CTX& context) {
    SSL_CTX_set_max_proto_version(&context, TLS1_2_VERSION);
  });
  peer.run(ours);
  ASSERT_TRUE(ours.handshake_done && peer.is_established());
  ASSERT_EQ(SSL_renegotiate(peer.ssl()), 1);
  SSL_do_handshake(peer.ssl());
  peer.run(ours);
  EXPECT_FALSE(peer.is_established());
  EXPECT_FALSE(ours.session->peer().resumed);
}

TEST_F(Session, FollowsAKeyUpdate) {
  server(ca_.material(test::kDb));
  test::TlsEnd ours{*server_->make_server()};
  RawPeer peer(Role::client, ca_.issue(test::kWeb));
  peer.run(ours);
  ASSERT_TRUE(ours.handshake_done);
  SSL_key_update(peer.ssl(), SSL_KEY_UPDATE_REQUESTED);
  SSL_write(peer.ssl(), "new keys", 8);
  peer.run(ours);
  EXPECT_EQ(ours.plain, "new keys");
  ours.write("both ways");
  peer.step(ours);
  EXPECT_EQ(peer.plain(), "both ways");
}

TEST_F(Session, WorksOnManyWorkersAtOnceWithOneMaterial) {
  // Intermediates too: all certificates of the material are used.
  const test::TestCa site = ca_.intermediate();
  const auto web = site.material(test::kWeb);
  const auto db = site.material(test::kDb);
  const auto worker = [&] {
    Scratch scratch;
    auto dials = std::move(*Context::make(Role::client, web, {}, scratch, clock_));
    auto serves = std::move(*Context::make(Role::server, db, {}, scratch, clock_));
    for (int i = 0; i < 20; ++i) {
      TlsPair pair;
      pair.client.session = std::move(*dials->make_client({.resume_key = i % 2 == 0 ? "" : "db"}));
      pair.server.session = std::move(*serves->make_server());
      pair.client.take(pair.client.session->start());
      EXPECT_TRUE(pair.run());
    }
  };
  std::thread first(worker);
  std::thread second(worker);
  first.join();
  second.join();
}

TEST_F(Session, DoesNotAskTheClientForParticularIssuers) {
  server(ca_.material(test::kDb));
  test::TlsEnd ours{*server_->make_server()};
  RawPeer peer(Role::client, ca_.issue(test::kWeb));
  peer.run(ours);
  EXPECT_LE(sk_X509_NAME_num(SSL_get0_peer_CA_list(peer.ssl())), 0);
}

TEST_F(Session, FitsItsClientHelloIntoOneSegment) {
  both();
  TlsPair pair = connect({.sni = std::string(200, 'a'), .expected_peers = {}, .resume_key = ""});
  EXPECT_LT(pair.client.outgoing.size(), 700U);
}

}  // namespace
}  // namespace mooring::tls
