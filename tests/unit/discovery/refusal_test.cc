#include "discovery/refusal.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace mooring::discovery {
namespace {

using http::GrpcCode;
using testing::HasSubstr;
using Kind = Refusal::Kind;

Refusal unknown(std::string text) {
  return explain_refusal({GrpcCode::unknown, std::move(text)});
}

TEST(Refusal, KnowsTheWindowAfterAStream) {
  EXPECT_EQ(unknown("there is already an active stream from this node, try again later").kind,
            Kind::already_active);
}

TEST(Refusal, EveryTextAboutATokenHasItsRemedy) {
  for (const auto& [text, remedy] : std::initializer_list<std::pair<const char*, const char*>>{
           {"could not parse token. kuma-cp runs with an in-memory database: token is malformed",
            "as it was made"},
           {"could not parse token. x: token has invalid claims: token is expired", "new token"},
           {"token is revoked", "new token"},
           {"there is no signing key with KID 2", "new token"},
           {"token is not yet valid: 'valid_from' date is in the future", "clocks"},
           {R"(dataplane with "kuma.io/workload" label "client" derives its identity from the )"
            "workload, so it requires a workload-bound token",
            "names the workload"},
           {R"(dataplane workload "client" is not allowed with this token. Allowed workload in )"
            R"(token is "svr")",
            "this host's workload"},
           {"dataplane has no workload label required by the token", "control_plane.workload"},
           {"proxy name from requestor: web is different than in token: db", "this host's name"},
           {"proxy mesh from requestor: a is different than in token: b", "this host's mesh"},
           {R"(dataplane has no tag "team" required by the token)", "labels"},
           {R"(dataplane contains tag "team" with value "a" which is not allowed with this token)",
            "labels"},
           {"dataplane not found. Create Dataplane in Kuma CP first", "apply the Dataplane"},
           {"something new", "make a token"}}) {
    const Refusal refusal = unknown(std::string("authentication failed: ") + text);
    EXPECT_EQ(refusal.kind, Kind::unauthorized) << text;
    EXPECT_THAT(refusal.remedy, HasSubstr(remedy)) << text;
    EXPECT_THAT(refusal.text, HasSubstr("refuses: authentication failed")) << text;
  }
  EXPECT_EQ(explain_refusal({GrpcCode::unauthenticated, ""}).kind, Kind::unauthorized);
  EXPECT_EQ(explain_refusal({GrpcCode::permission_denied, ""}).kind, Kind::unauthorized);
}

TEST(Refusal, AnEndThatSaysNothingIsALoss) {
  EXPECT_EQ(explain_refusal({GrpcCode::unavailable, "closed by the server"}),
            (Refusal{Kind::lost,
                     "the control plane ended the stream: UNAVAILABLE, closed by the server",
                     ""}));
  EXPECT_EQ(explain_refusal({GrpcCode::ok, ""}).kind, Kind::lost);
  EXPECT_EQ(explain_refusal({GrpcCode::cancelled, ""}).kind, Kind::lost);
}

TEST(Refusal, AnotherServiceIsNamed) {
  const Refusal refusal = explain_refusal({GrpcCode::unimplemented, "unknown service"});
  EXPECT_EQ(refusal.kind, Kind::refused);
  EXPECT_THAT(refusal.remedy, HasSubstr("Kuma"));
}

TEST(Refusal, QuotesThePeerSafely) {
  const Refusal refusal = unknown("no\n\"" + std::string(10'000, 'x'));
  EXPECT_EQ(refusal.kind, Kind::refused);
  EXPECT_EQ(refusal.text.find('\n'), std::string::npos);
  EXPECT_LT(refusal.text.size(), 1000U);
}

}  // namespace
}  // namespace mooring::discovery
