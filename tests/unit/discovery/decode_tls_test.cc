#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "fixtures.h"

namespace mooring::discovery {
namespace {

using snapshot::Secret;
using testing::ElementsAre;
using testing::HasSubstr;

cluster_v3::Cluster upstream(const tls_v3::CommonTlsContext& tls) {
  auto out = eds_cluster();
  set_upstream_tls(*out.mutable_transport_socket(), tls);
  return out;
}

listener_v3::Listener downstream(const tls_v3::DownstreamTlsContext& context) {
  auto out = inbound_listener();
  pack(context, *out.mutable_filter_chains(0)->mutable_transport_socket()->mutable_typed_config());
  return out;
}

snapshot::TlsContext context_of(const tls_v3::CommonTlsContext& tls) {
  return taken<snapshot::Cluster>(upstream(tls)).tls.value();
}

TEST(DecodeTls, SpeaksBothVersionsWhereNothingIsSaid) {
  EXPECT_EQ(context_of(common_tls()).parameters, snapshot::TlsParameters{});
  EXPECT_EQ(snapshot::TlsParameters{}.min_version, config::TlsVersion::tls12);
  EXPECT_EQ(snapshot::TlsParameters{}.max_version, config::TlsVersion::tls13);
}

TEST(DecodeTls, TakesVersionsSuitesAndGroups) {
  auto tls = common_tls();
  auto* parameters = tls.mutable_tls_params();
  parameters->set_tls_minimum_protocol_version(tls_v3::TlsParameters::TLSv1_2);
  parameters->set_tls_maximum_protocol_version(tls_v3::TlsParameters::TLSv1_2);
  parameters->add_cipher_suites("[ECDHE-ECDSA-AES128-GCM-SHA256|ECDHE-ECDSA-CHACHA20-POLY1305]");
  parameters->add_cipher_suites("ECDHE-RSA-AES256-GCM-SHA384");
  parameters->add_cipher_suites("AES128-SHA");
  parameters->add_ecdh_curves("P-256");
  parameters->add_ecdh_curves("X25519MLKEM768");
  const DecodeResult result = decode_message(upstream(tls));
  ASSERT_TRUE(result) << describe(result.error());
  const auto& got = std::get<snapshot::Cluster>(result->resource).tls->parameters;
  EXPECT_EQ(got.max_version, config::TlsVersion::tls12);
  EXPECT_THAT(got.ciphers,
              ElementsAre("TLS_AES_128_GCM_SHA256",
                          "TLS_AES_256_GCM_SHA384",
                          "TLS_CHACHA20_POLY1305_SHA256",
                          "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
                          "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
                          "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384"));
  EXPECT_THAT(got.groups, ElementsAre("P-256"));
  ASSERT_EQ(result->warnings.size(), 2u);
  EXPECT_THAT(result->warnings[0].text, HasSubstr("AES128-SHA is left out"));
}

TEST(DecodeTls, RejectsParametersThatLeaveNothing) {
  auto tls = common_tls();
  tls.mutable_tls_params()->add_cipher_suites("AES128-SHA");
  EXPECT_THAT(rejection(upstream(tls)), HasSubstr("cipher_suites: has none"));
  tls = common_tls();
  tls.mutable_tls_params()->add_ecdh_curves("X25519MLKEM768");
  EXPECT_THAT(rejection(upstream(tls)), HasSubstr("ecdh_curves: has none"));
  tls = common_tls();
  tls.mutable_tls_params()->set_tls_maximum_protocol_version(tls_v3::TlsParameters::TLSv1_1);
  EXPECT_THAT(rejection(upstream(tls)), HasSubstr("tls_maximum_protocol_version"));
  tls.mutable_tls_params()->set_tls_minimum_protocol_version(tls_v3::TlsParameters::TLSv1_3);
  tls.mutable_tls_params()->set_tls_maximum_protocol_version(tls_v3::TlsParameters::TLSv1_2);
  EXPECT_THAT(rejection(upstream(tls)), HasSubstr("is above the maximum"));
}

TEST(DecodeTls, NamesSecretsOfAnSdsServerBesideTheControlPlane) {
  auto tls = common_tls();
  auto* config = tls.mutable_tls_certificate_sds_secret_configs(0)->mutable_sds_config();
  config->mutable_api_config_source()->set_api_type(core_v3::ApiConfigSource::GRPC);
  config->mutable_api_config_source()->add_grpc_services()->mutable_envoy_grpc()->set_cluster_name(
      "spire");
  EXPECT_EQ(context_of(tls).certificate, "sds:spire/identity");
  const auto parts = parse_sds_name("sds:spire/spiffe://mesh/web");
  ASSERT_TRUE(parts);
  EXPECT_EQ(parts->cluster, "spire");
  EXPECT_EQ(parts->name, "spiffe://mesh/web");
  EXPECT_FALSE(parse_sds_name("identity"));
  config->mutable_api_config_source()
      ->mutable_grpc_services(0)
      ->mutable_envoy_grpc()
      ->set_cluster_name("spire/agent");
  EXPECT_THAT(rejection(upstream(tls)), HasSubstr("cluster_name: has a /"));
  config->mutable_api_config_source()->set_api_type(core_v3::ApiConfigSource::REST);
  EXPECT_THAT(rejection(upstream(tls)), HasSubstr("api_config_source"));
}

TEST(DecodeTls, GivesInlineMaterialANameOfItsOwn) {
  tls_v3::DownstreamTlsContext context;
  context.mutable_require_client_certificate()->set_value(true);
  auto* tls = context.mutable_common_tls_context();
  tls->add_tls_certificates()->mutable_certificate_chain()->set_inline_bytes("CERT");
  tls->mutable_tls_certificates(0)->mutable_private_key()->set_inline_string("KEY");
  tls->mutable_validation_context()->mutable_trusted_ca()->set_inline_bytes("CA");
  auto* san = tls->mutable_validation_context()->add_match_typed_subject_alt_names();
  san->set_san_type(tls_v3::SubjectAltNameMatcher::DNS);
  san->mutable_matcher()->set_exact("kuma-cp");
  const DecodeResult result = decode_message(downstream(context));
  ASSERT_TRUE(result) << describe(result.error());
  const auto& got = std::get<snapshot::Listener>(result->resource).chains[0].tls.value();
  const std::string prefix =
      "inline:inbound/filter_chains[0].transport_socket.typed_config.common_tls_context/";
  EXPECT_EQ(got.certificate, prefix + "certificate");
  EXPECT_EQ(got.validation, prefix + "validation");
  EXPECT_EQ(got.peer_names.at(0).matcher.text, "kuma-cp");
  EXPECT_THAT(result->secrets,
              ElementsAre(Secret{got.certificate, snapshot::TlsCertificate{"CERT", "KEY"}, {}},
                          Secret{got.validation, snapshot::TrustedCa{"CA"}, {}}));
}

TEST(DecodeTls, NeverLosesAVerification) {
  tls_v3::DownstreamTlsContext context;
  context.mutable_require_client_certificate()->set_value(true);
  *context.mutable_common_tls_context() = common_tls();
  context.mutable_common_tls_context()->clear_combined_validation_context();
  EXPECT_THAT(rejection(downstream(context)), HasSubstr("nothing would verify it"));

  auto tls = common_tls();
  auto* san = tls.mutable_validation_context()->add_match_typed_subject_alt_names();
  san->set_san_type(tls_v3::SubjectAltNameMatcher::URI);
  san->mutable_matcher()->set_exact("spiffe://mesh/web");
  EXPECT_THAT(rejection(upstream(tls)), HasSubstr("trusted_ca: is missing"));

  tls = common_tls();
  tls.mutable_combined_validation_context()
      ->mutable_default_validation_context()
      ->mutable_match_typed_subject_alt_names(0)
      ->set_san_type(tls_v3::SubjectAltNameMatcher::OTHER_NAME);
  EXPECT_THAT(rejection(upstream(tls)), HasSubstr("san_type"));

  tls = common_tls();
  tls.add_tls_certificates();
  EXPECT_THAT(rejection(upstream(tls)), HasSubstr("has several certificates"));
}

TEST(DecodeTls, ReadsNoFileThatAControlPlaneNames) {
  auto tls = common_tls();
  tls.mutable_validation_context()->mutable_trusted_ca()->set_filename("/etc/shadow");
  EXPECT_THAT(rejection(upstream(tls)), HasSubstr("filename: names a file of this host"));
}

TEST(DecodeTls, DoesNotResumeWhereItIsForbidden) {
  tls_v3::DownstreamTlsContext context;
  *context.mutable_common_tls_context() = common_tls();
  context.set_disable_stateless_session_resumption(true);
  const auto got = taken<snapshot::Listener>(downstream(context)).chains[0].tls.value();
  EXPECT_FALSE(got.parameters.resumption);
  EXPECT_FALSE(got.require_client_certificate);
}

TEST(DecodeSecret, TakesACertificate) {
  tls_v3::Secret message;
  message.set_name("identity");
  message.mutable_tls_certificate()->mutable_certificate_chain()->set_inline_bytes("CERT");
  message.mutable_tls_certificate()->mutable_private_key()->set_inline_bytes("KEY");
  EXPECT_EQ(taken<Secret>(message),
            (Secret{"identity", snapshot::TlsCertificate{"CERT", "KEY"}, {}}));
}

tls_v3::Secret spiffe_secret(const tls_v3::SPIFFECertValidatorConfig& bundles) {
  tls_v3::Secret message;
  message.set_name("trust");
  auto* custom = message.mutable_validation_context()->mutable_custom_validator_config();
  custom->set_name("envoy.tls.cert_validator.spiffe");
  pack(bundles, *custom->mutable_typed_config());
  return message;
}

TEST(DecodeSecret, TakesSpiffeBundles) {
  tls_v3::SPIFFECertValidatorConfig bundles;
  for (const char* name : {"a", "b"}) {
    auto* domain = bundles.add_trust_domains();
    domain->set_name(name);
    domain->mutable_trust_bundle()->set_inline_bytes(std::string("CA ") + name);
  }
  EXPECT_EQ(taken<Secret>(spiffe_secret(bundles)).value,
            (decltype(Secret::value)(snapshot::SpiffeBundles{{{"a", "CA a"}, {"b", "CA b"}}})));
  bundles.mutable_trust_domains(1)->set_name("a");
  EXPECT_THAT(rejection(spiffe_secret(bundles)), HasSubstr("is there twice"));
  EXPECT_THAT(rejection(spiffe_secret({})), HasSubstr("trust_domains: is empty"));
  auto other = spiffe_secret({});
  other.mutable_validation_context()->mutable_custom_validator_config()->set_name("other");
  EXPECT_THAT(rejection(other), HasSubstr("is a validator that this agent does not have"));
}

TEST(DecodeSecret, TakesACaWithTheNamesThatItMayVouchFor) {
  tls_v3::Secret message;
  message.set_name("trust");
  message.mutable_validation_context()->mutable_trusted_ca()->set_inline_string("CA");
  auto* san = message.mutable_validation_context()->add_match_typed_subject_alt_names();
  san->set_san_type(tls_v3::SubjectAltNameMatcher::IP_ADDRESS);
  san->mutable_matcher()->mutable_safe_regex()->set_regex("10[.].*");
  const Secret secret = taken<Secret>(message);
  EXPECT_EQ(secret.value, (decltype(Secret::value)(snapshot::TrustedCa{"CA"})));
  EXPECT_THAT(secret.peer_names,
              ElementsAre(snapshot::SubjectAltNameMatcher{
                  snapshot::SubjectAltNameMatcher::Type::ip_address,
                  {snapshot::StringMatcher::Kind::safe_regex, "10[.].*", false}}));
  message.mutable_validation_context()->clear_trusted_ca();
  EXPECT_THAT(rejection(message), HasSubstr("trusted_ca: is missing"));
}

TEST(DecodeSecret, RejectsAPatternThatDoesNotCompileByName) {
  tls_v3::Secret message;
  message.set_name("trust");
  message.mutable_validation_context()->mutable_trusted_ca()->set_inline_string("CA");
  auto* san = message.mutable_validation_context()->add_match_typed_subject_alt_names();
  san->set_san_type(tls_v3::SubjectAltNameMatcher::URI);
  san->mutable_matcher()->mutable_safe_regex()->set_regex("spiffe://(a");
  EXPECT_THAT(rejection(message), HasSubstr("safe_regex.regex: "));
}

}  // namespace
}  // namespace mooring::discovery
