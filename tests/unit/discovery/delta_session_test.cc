#include "discovery/delta_session.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace mooring::discovery {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using Kind = ResourceKind;
using Versions = DeltaSession::Versions;

std::string url(Kind kind) {
  return std::string(type_url(kind));
}
DeltaResponse response(Kind kind, std::string nonce) {
  return {.type_url = url(kind), .nonce = std::move(nonce)};
}

/// Knows nothing, or what a test gives it.
struct Fixture {
  explicit Fixture(std::map<Kind, Versions> known = {})
      : session([known](Kind kind) {
          const auto found = known.find(kind);
          return found == known.end() ? Versions{} : found->second;
        }) {
    session.start();
  }
  DeltaRequest only() {
    auto requests = session.take();
    EXPECT_EQ(requests.size(), 1U);
    return requests.empty() ? DeltaRequest{} : requests.front();
  }
  DeltaSession session;
};

TEST(ResourceKind, RoundTripsItsTypeUrl) {
  for (const Kind kind : kResourceKinds)
    EXPECT_EQ(kind_of(type_url(kind)), kind);
  EXPECT_EQ(kind_of("type.googleapis.com/envoy.config.route.v3.RouteConfiguration"), std::nullopt);
  EXPECT_EQ(kind_of(""), std::nullopt);
}

TEST(ResourceKind, NamesArePrintableAndBounded) {
  EXPECT_TRUE(is_resource_name("web{mesh=default}"));
  EXPECT_TRUE(is_resource_name(std::string(kMaxResourceName, 'a')));
  EXPECT_FALSE(is_resource_name(std::string(kMaxResourceName + 1, 'a')));
  EXPECT_FALSE(is_resource_name(""));
  EXPECT_FALSE(is_resource_name("a\nb"));
  EXPECT_FALSE(is_resource_name("n\xC3\xA4in"));
}

TEST(DeltaSession, BeginsWithAllClustersAndTheNode) {
  Fixture fixture;
  EXPECT_EQ(fixture.only(), (DeltaRequest{.has_node = true, .type_url = url(Kind::cluster)}));
}

TEST(DeltaSession, TellsTheNodeOnce) {
  Fixture fixture;
  fixture.session.want(Kind::endpoints, {"a"});
  fixture.session.want(Kind::secret, {"s"});
  fixture.session.ask_listeners();
  const auto requests = fixture.session.take();
  ASSERT_EQ(requests.size(), 4U);
  EXPECT_TRUE(requests[0].has_node);
  for (std::size_t i = 1; i < 4; ++i)
    EXPECT_FALSE(requests[i].has_node);
}

TEST(DeltaSession, AsksForListenersOnceAndInTheLegacyForm) {
  Fixture fixture;
  static_cast<void>(fixture.session.take());
  EXPECT_FALSE(fixture.session.has_asked(Kind::listener));
  fixture.session.ask_listeners();
  fixture.session.ask_listeners();
  EXPECT_EQ(fixture.only(), (DeltaRequest{.type_url = url(Kind::listener)}));
  EXPECT_TRUE(fixture.session.has_asked(Kind::listener));
}

TEST(DeltaSession, NamesAreFollowed) {
  Fixture fixture;
  static_cast<void>(fixture.session.take());
  fixture.session.want(Kind::endpoints, {});
  EXPECT_THAT(fixture.session.take(), IsEmpty());  // would ask for all
  fixture.session.want(Kind::endpoints, {"a", "b"});
  EXPECT_EQ(fixture.only(),
            (DeltaRequest{.type_url = url(Kind::endpoints), .subscribe = {"a", "b"}}));
  fixture.session.want(Kind::endpoints, {"a", "b"});
  EXPECT_THAT(fixture.session.take(), IsEmpty());
  fixture.session.want(Kind::endpoints, {"b", "c"});
  EXPECT_EQ(
      fixture.only(),
      (DeltaRequest{.type_url = url(Kind::endpoints), .subscribe = {"c"}, .unsubscribe = {"a"}}));
  EXPECT_FALSE(fixture.session.wants(Kind::endpoints, "a"));
  EXPECT_TRUE(fixture.session.wants(Kind::endpoints, "c"));
  EXPECT_TRUE(fixture.session.wants(Kind::cluster, "anything"));
  fixture.session.want(Kind::endpoints, {});
  EXPECT_EQ(fixture.only(),
            (DeltaRequest{.type_url = url(Kind::endpoints), .unsubscribe = {"b", "c"}}));
}

TEST(DeltaSession, NamesThatAreNoneAreNotAskedFor) {
  Fixture fixture;
  static_cast<void>(fixture.session.take());
  fixture.session.want(Kind::secret, {"", "\xff", "good"});
  EXPECT_THAT(fixture.only().subscribe, ElementsAre("good"));
}

TEST(DeltaSession, SaysWhatThisHostHasWithTheFirstRequestOfAKind) {
  Fixture fixture({{Kind::cluster, {{"c", "1"}}},
                   {Kind::endpoints, {{"e", "2"}, {"old", "3"}}},
                   {Kind::listener, {{"l", "4"}}}});
  EXPECT_EQ(fixture.only().initial_versions, (Versions{{"c", "1"}}));
  fixture.session.want(Kind::endpoints, {"e", "new"});
  EXPECT_EQ(fixture.only().initial_versions, (Versions{{"e", "2"}}));  // of what is asked for
  fixture.session.want(Kind::endpoints, {"e", "new", "old"});
  EXPECT_THAT(fixture.only().initial_versions, IsEmpty());
  fixture.session.ask_listeners();
  EXPECT_EQ(fixture.only().initial_versions, (Versions{{"l", "4"}}));
}

TEST(DeltaSession, AcknowledgesWhateverTheNonce) {
  Fixture fixture;
  static_cast<void>(fixture.session.take());
  for (const char* nonce : {"1", "1", "0", ""}) {  // repeated, stale, none
    EXPECT_EQ(fixture.session.on_response(response(Kind::cluster, nonce)), Kind::cluster);
    fixture.session.answer(Kind::cluster, nonce, {});
    EXPECT_EQ(fixture.only(), (DeltaRequest{.type_url = url(Kind::cluster), .nonce = nonce}));
  }
  EXPECT_TRUE(fixture.session.has_answer(Kind::cluster));
}

TEST(DeltaSession, RefusesWithTheReasonsAndGoesOn) {
  Fixture fixture;
  static_cast<void>(fixture.session.take());
  const std::vector<RejectedResource> rejected{
      {Kind::cluster, "web", "lb_policy", "unknown", "v1"}};
  fixture.session.answer(Kind::cluster, "7", rejected);
  EXPECT_EQ(fixture.only(),
            (DeltaRequest{.type_url = url(Kind::cluster),
                          .nonce = "7",
                          .error = "cluster web: lb_policy: unknown"}));
  EXPECT_EQ(fixture.session.on_response(response(Kind::cluster, "8")), Kind::cluster);
}

TEST(DeltaSession, RefusesWhatNobodyAskedFor) {
  Fixture fixture;
  static_cast<void>(fixture.session.take());
  EXPECT_EQ(fixture.session.on_response(response(Kind::listener, "1")), std::nullopt);
  EXPECT_THAT(fixture.only().error, HasSubstr("nobody asked"));
  EXPECT_FALSE(fixture.session.has_answer(Kind::listener));
  EXPECT_EQ(fixture.session.on_response({.type_url = "type.googleapis.com/x", .nonce = "2"}),
            std::nullopt);
  const DeltaRequest request = fixture.only();
  EXPECT_EQ(request.type_url, "type.googleapis.com/x");
  EXPECT_EQ(request.nonce, "2");
  EXPECT_FALSE(request.error.empty());
}

TEST(DescribeRejected, IsBoundedAndPrintable) {
  std::vector<RejectedResource> rejected(
      500, {Kind::listener, std::string(5000, '\xff'), std::string(5000, 'f'), "\n\"bad\"", ""});
  const std::string text = describe_rejected(rejected);
  EXPECT_LE(text.size(), 4096U);
  EXPECT_THAT(text, HasSubstr("and 490 more"));
  EXPECT_EQ(text.find('\n'), std::string::npos);
  EXPECT_EQ(describe_rejected({}), "");
}

}  // namespace
}  // namespace mooring::discovery
