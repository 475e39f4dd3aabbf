#include "app/control_plane_words.h"

#include <gmock/gmock.h>

namespace mooring::app {
namespace {

using ::testing::HasSubstr;

struct Said {
  std::string_view text;  // as recorded from a control plane, or as its authenticator writes it
  std::string_view message;
  std::string_view remedy;
};

constexpr Said kSaid[] = {
    {"authentication failed: dataplane workload \"client\" is not allowed with this token. Allowed "
     "workload in token is \"svr\"",
     "Allowed workload in token is \"svr\"",
     "--workload"},
    {"authentication failed: dataplane with \"kuma.io/workload\" label \"client\" derives its "
     "identity from the workload, so it requires a workload-bound token",
     "the token is for any workload",
     "kumactl generate dataplane-token"},
    {"authentication failed: dataplane has no workload label required by the token",
     "the Dataplane names none",
     "--workload"},
    {"authentication failed: dataplane has no tag \"zone\" required by the token",
     "no tag \"zone\"",
     "add the label"},
    {"authentication failed: could not parse token. kuma-cp runs with an in-memory database and "
     "its state isn't preserved between restarts: token is malformed: could not JSON decode header",
     "the control plane cannot read the token",
     "kumactl"},
    {"authentication failed: could not parse token. x: token has invalid claims: token is expired",
     "the token has expired",
     "kumactl"},
    {"authentication failed: could not parse token. x: token signature is invalid: crypto/rsa",
     "not signed by this control plane",
     "kumactl"},
    {"authentication failed: proxy name from requestor: web is different than in token: db",
     "web is different than in token: db",
     "--name"},
    {"authentication failed: proxy mesh from requestor: default is different than in token: other",
     "different than in token: other",
     "--mesh"},
    {"authentication failed: token is revoked", "the token was revoked", "kumactl"},
    {"there is already an active stream from this node, try again later",
     "a host of the same name is connected",
     "ten seconds"},
};

TEST(ExplainControlPlane, EveryKnownRefusalHasARemedy) {
  for (const Said& said : kSaid) {
    const Explained explained = explain_control_plane(said.text);
    EXPECT_THAT(explained.message, HasSubstr(std::string(said.message)));
    EXPECT_THAT(explained.remedy, HasSubstr(std::string(said.remedy))) << said.text;
  }
}

TEST(ExplainControlPlane, OtherWordsStayOnOneLineAndWithinBounds) {
  EXPECT_EQ(explain_control_plane("something\r\n\n  else\x1b[31m.\n").message,
            "the control plane says: something else [31m");
  const Explained huge = explain_control_plane(std::string(10'000, 'x'));
  EXPECT_LT(huge.message.size(), 400U);
  EXPECT_TRUE(huge.remedy.empty());
}

}  // namespace
}  // namespace mooring::app
