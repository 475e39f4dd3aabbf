// Contexts of a web host that calls a db host, and the pairs they make.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "support/fake_clock.h"
#include "support/pki.h"
#include "support/tls_pair.h"
#include "tls/session.h"

namespace mooring::test {

inline constexpr const char* kWeb = "spiffe://mesh.test/web";
inline constexpr const char* kDb = "spiffe://mesh.test/db";

class TlsFixture : public ::testing::Test {
 protected:
  std::unique_ptr<tls::Context> context(tls::Role role,
                                        identity::MaterialPtr material,
                                        const tls::Parameters& parameters = {}) {
    auto made = tls::Context::make(role, std::move(material), parameters, scratch_, clock_);
    EXPECT_TRUE(made.has_value());
    return std::move(*made);
  }
  void client(identity::MaterialPtr material, const tls::Parameters& parameters = {}) {
    client_ = context(tls::Role::client, std::move(material), parameters);
  }
  void server(identity::MaterialPtr material, const tls::Parameters& parameters = {}) {
    server_ = context(tls::Role::server, std::move(material), parameters);
  }
  void both(const tls::Parameters& parameters = {}) {
    client(ca_.material(kWeb), parameters);
    server(ca_.material(kDb), parameters);
  }
  /// A pair whose client has sent its first bytes.
  TlsPair connect(const tls::Context::ClientOptions& options,
                  const tls::Context::ServerOptions& of_server = {}) {
    TlsPair pair;
    auto made_client = client_->make_client(options);
    auto made_server = server_->make_server(of_server);
    EXPECT_TRUE(made_client.has_value() && made_server.has_value());
    pair.client.session = std::move(*made_client);
    pair.server.session = std::move(*made_server);
    pair.server.take(pair.server.session->start());
    pair.client.take(pair.client.session->start());
    return pair;
  }
  TlsPair connect() { return connect({.sni = "", .expected_peers = {}, .resume_key = "db"}); }

  TestCa ca_{"mesh.test"};
  FakeClock clock_;
  tls::Scratch scratch_;
  std::unique_ptr<tls::Context> client_;
  std::unique_ptr<tls::Context> server_;
};

inline std::vector<std::string> texts(const std::shared_ptr<const identity::Names>& names) {
  std::vector<std::string> list;
  if (names == nullptr) return list;
  for (const identity::Name name : *names)
    list.emplace_back(name.text);
  return list;
}

inline tls::Parameters tls12() {
  tls::Parameters parameters;
  parameters.ciphers = {"TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"};
  return parameters;
}

}  // namespace mooring::test
