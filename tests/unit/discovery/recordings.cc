#include "recordings.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "support/pki.h"
#include "xdsapi/discovery.pb.h"
#include "xdsapi/tls.pb.h"

namespace mooring::discovery {

namespace {

namespace fs = std::filesystem;
namespace discovery_v3 = envoy::service::discovery::v3;

using Latest = std::map<std::pair<std::string, std::string>, std::string>;  // type, name -> bytes

std::string content_of(const fs::path& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

void apply_delta(const std::string& bytes, Latest& latest) {
  discovery_v3::DeltaDiscoveryResponse response;
  if (!response.ParseFromString(bytes)) return;
  for (const auto& resource : response.resources())
    latest[{response.type_url(), resource.name()}] = resource.resource().value();
  for (const std::string& name : response.removed_resources())
    latest.erase({response.type_url(), name});
}

/// The state of the world: names are in the resources, and none is said here.
void apply_all(const std::string& bytes, Latest& latest) {
  discovery_v3::DiscoveryResponse response;
  if (!response.ParseFromString(bytes)) return;
  for (int i = 0; i < response.resources_size(); ++i) {
    const std::string& value = response.resources(i).value();
    auto decoded = decode(response.type_url(), "", value);
    std::string name = decoded ? name_of(*decoded) : decoded.error().name;
    latest[{response.type_url(), name}] = value;
  }
}

std::vector<fs::path> responses_in(const fs::path& folder) {
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(folder)) {
    const std::string file = entry.path().filename();
    if (file.find("-ads-resp-") != std::string::npos && entry.path().extension() == ".pb")
      files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  return files;
}

RecordedCase read_case(const std::vector<fs::path>& files, const std::string& name) {
  Latest latest;
  const bool is_sotw = name.find("sotw") != std::string::npos;
  for (const fs::path& file : files) {
    if (is_sotw) {
      apply_all(content_of(file), latest);
    } else {
      apply_delta(content_of(file), latest);
    }
  }
  RecordedCase out{name, {}};
  for (auto& [key, bytes] : latest)
    out.resources.push_back({key.first, key.second, bytes});
  return out;
}

/// All data planes below `root`, `prefix` before their names.
void read_set(const fs::path& root, const std::string& prefix, std::vector<RecordedCase>& out) {
  if (!fs::is_directory(root)) return;
  for (const auto& entry : fs::recursive_directory_iterator(root)) {
    if (!entry.is_directory()) continue;
    RecordedCase one =
        read_case(responses_in(entry.path()), prefix + fs::relative(entry.path(), root).string());
    if (!one.resources.empty()) out.push_back(std::move(one));
  }
}

void sort_by_name(std::vector<RecordedCase>& cases) {
  std::sort(
      cases.begin(), cases.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
}

fs::path own_root() {
  return fs::path(MOORING_SOURCE_DIR) / "tests/fixtures/kuma";
}

/// What stands for the placeholder of a key: the same in each case, so that a case is the same
/// whenever it is read.
const test::Issued& issued_for(const std::string& placeholder) {
  static const test::TestCa ca("default.mesh.local");
  static std::map<std::string, test::Issued> all;
  const auto found = all.find(placeholder);
  if (found != all.end()) return found->second;
  return all[placeholder] = ca.issue("spiffe://default.mesh.local/workload/svr");
}

/// A key has no place in a repository: the fixtures have placeholders.
void fill_secrets(RecordedCase& one) {
  for (Recorded& resource : one.resources) {
    if (resource.type_url != type_url(ResourceKind::secret)) continue;
    envoy::extensions::transport_sockets::tls::v3::Secret secret;
    if (!secret.ParseFromString(resource.bytes) || !secret.has_tls_certificate()) continue;
    auto& certificate = *secret.mutable_tls_certificate();
    const test::Issued& issued = issued_for(certificate.private_key().inline_bytes());
    certificate.mutable_certificate_chain()->set_inline_bytes(issued.cert_pem);
    certificate.mutable_private_key()->set_inline_bytes(issued.key_pem);
    resource.bytes = secret.SerializeAsString();
  }
}

}  // namespace

std::vector<RecordedCase> recorded_cases() {
  std::vector<RecordedCase> out;
  const fs::path shared = fs::path(MOORING_SOURCE_DIR) / "../shared/kuma";
  read_set(shared / "rec", "", out);
  read_set(shared / "rec-214", "2.14 ", out);
  sort_by_name(out);
  return out;
}

std::vector<RecordedCase> own_cases() {
  std::vector<RecordedCase> out;
  read_set(own_root(), "", out);
  std::for_each(out.begin(), out.end(), fill_secrets);
  sort_by_name(out);
  return out;
}

RecordedCase own_case(const std::string& name, std::size_t responses) {
  std::vector<fs::path> files = responses_in(own_root() / name);
  files.resize(std::min(files.size(), responses));
  RecordedCase out = read_case(files, name);
  fill_secrets(out);
  return out;
}

snapshot::Resources resources_of(const RecordedCase& one) {
  snapshot::Resources out;
  for (const Recorded& resource : one.resources) {
    DecodeResult decoded = decode(resource.type_url, resource.name, resource.bytes);
    if (!decoded) continue;
    for (snapshot::Secret& secret : decoded->secrets)
      out.secrets.push_back(std::move(secret));
    if (auto* listener = std::get_if<snapshot::Listener>(&decoded->resource))
      out.listeners.push_back(std::move(*listener));
    if (auto* cluster = std::get_if<snapshot::Cluster>(&decoded->resource))
      out.clusters.push_back(std::move(*cluster));
    if (auto* endpoints = std::get_if<snapshot::LoadAssignment>(&decoded->resource))
      out.endpoints.push_back(std::move(*endpoints));
    if (auto* secret = std::get_if<snapshot::Secret>(&decoded->resource))
      out.secrets.push_back(std::move(*secret));
  }
  return out;
}

}  // namespace mooring::discovery
