#include "tls/session.h"

#include <algorithm>

#include "unit/tls/fixture.h"

namespace mooring::tls {
namespace {

using test::TlsPair;

class Session : public test::TlsFixture {};

TEST_F(Session, CarriesBytesBothWaysAfterAMutualHandshake) {
  both();
  TlsPair pair = connect();
  ASSERT_TRUE(pair.run());
  EXPECT_TRUE(pair.client.handshake_done);
  EXPECT_TRUE(pair.server.handshake_done);
  EXPECT_EQ(pair.client.session->peer().spiffe_id, test::kDb);
  EXPECT_EQ(pair.server.session->peer().spiffe_id, test::kWeb);
  EXPECT_EQ(pair.server.session->peer().trust_domain, "mesh.test");
  EXPECT_STREQ(pair.server.session->peer().version, "TLSv1.3");
  EXPECT_STREQ(pair.server.session->peer().cipher, "TLS_AES_128_GCM_SHA256");
  EXPECT_FALSE(pair.server.session->peer().resumed);
  pair.client.write("select 1");
  pair.server.write("one row");
  pair.run();
  EXPECT_EQ(pair.server.plain, "select 1");
  EXPECT_EQ(pair.client.plain, "one row");
}

TEST_F(Session, ResumesAsOftenAsItIsAsked) {
  both();
  for (int i = 0; i < 6; ++i) {
    TlsPair pair = connect();
    ASSERT_TRUE(pair.run());
    EXPECT_EQ(pair.client.session->peer().resumed, i > 0) << i;
  }
}

}  // namespace
}  // namespace mooring::tls
