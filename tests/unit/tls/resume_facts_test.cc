// What a session carries about its peer, and where a client keeps it.
#include <gtest/gtest.h>

#include "support/pki.h"
#include "tls/resume.h"

namespace mooring::tls {
namespace {

using std::chrono::hours;

constexpr const char* kWeb = "spiffe://mesh.test/web";

identity::Names names(const char* uri) {
  identity::Names one;
  one.add(identity::NameType::uri, uri);
  return one;
}

TEST(MayResume, NeedsTheAnchorThatVerifiedThePeer) {
  const auto material = test::TestCa("mesh.test").material(kWeb);
  const WallTime now = std::chrono::system_clock::now();
  const auto anchor = material->trusted->bundles.at("mesh.test").fingerprints.front();
  const auto facts = [&](const char* id, const identity::Fingerprint& its_anchor) {
    return ResumeFacts{std::make_shared<const PeerFacts>(PeerFacts{names(id), its_anchor, {}}),
                       now + hours(1)};
  };
  EXPECT_TRUE(may_resume(facts(kWeb, anchor), *material->trusted, now));
  EXPECT_FALSE(may_resume(facts(kWeb, {1}), *material->trusted, now));
  EXPECT_FALSE(may_resume(facts("spiffe://other.test/web", anchor), *material->trusted, now));
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
  const ResumeFacts facts{std::make_shared<const PeerFacts>(
                              PeerFacts{names("spiffe://a.test/b"), {1, 2, 3}, now + hours(1)}),
                          now};
  EXPECT_FALSE(get_facts(*session));
  ASSERT_TRUE(put_facts(*session, facts));
  const ResumeFacts read = get_facts(*session).value_or(ResumeFacts{});
  ASSERT_TRUE(read.peer);
  EXPECT_EQ(read.until, now);
  EXPECT_EQ(read.peer->names.spiffe_id(), "spiffe://a.test/b");
  EXPECT_EQ(read.peer->anchor, facts.peer->anchor);
  EXPECT_EQ(read.peer->not_after, now + hours(1));
}

TEST(ResumeFacts, AreLeftOutWhereTheyAreTooLarge) {
  const SslSessionPtr session(SSL_SESSION_new());
  const auto facts = [](std::size_t bytes) {
    const std::string uri(bytes, 'a');
    return ResumeFacts{std::make_shared<const PeerFacts>(PeerFacts{names(uri.c_str()), {}, {}}),
                       {}};
  };
  EXPECT_FALSE(put_facts(*session, facts(kMaxTicketNames)));
  EXPECT_FALSE(get_facts(*session));
  EXPECT_TRUE(put_facts(*session, facts(kMaxTicketNames - 3)));
  EXPECT_TRUE(get_facts(*session));
}

TEST(ResumeFacts, ReadsNothingFromWhatItDidNotWrite) {
  const SslSessionPtr session(SSL_SESSION_new());
  for (const std::string& text : {std::string(),
                                  std::string("x"),
                                  std::string(48, '\2'),
                                  std::string(49, '\1'),
                                  std::string(60, '\2')}) {
    ASSERT_EQ(SSL_SESSION_set1_ticket_appdata(session.get(), text.data(), text.size()), 1);
    EXPECT_FALSE(get_facts(*session)) << text.size();
  }
}

}  // namespace
}  // namespace mooring::tls
