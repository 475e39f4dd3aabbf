#include "recordings.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "xdsapi/discovery.pb.h"

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

RecordedCase read_case(const fs::path& folder, const std::string& name) {
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(folder)) {
    const std::string file = entry.path().filename();
    if (file.find("-ads-resp-") != std::string::npos && entry.path().extension() == ".pb")
      files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  Latest latest;
  const bool is_sotw = name.find("sotw") != std::string::npos;
  for (const fs::path& file : files) {
    if (is_sotw)
      apply_all(content_of(file), latest);
    else
      apply_delta(content_of(file), latest);
  }
  RecordedCase out{name, {}};
  for (auto& [key, bytes] : latest)
    out.resources.push_back({key.first, key.second, bytes});
  return out;
}

}  // namespace

std::vector<RecordedCase> recorded_cases() {
  std::vector<RecordedCase> out;
  const fs::path shared = fs::path(MOORING_SOURCE_DIR) / "../shared/kuma";
  for (const char* set : {"rec", "rec-214"}) {
    if (!fs::is_directory(shared / set)) continue;
    for (const auto& entry : fs::recursive_directory_iterator(shared / set)) {
      if (!entry.is_directory()) continue;
      RecordedCase one = read_case(entry.path(), fs::relative(entry.path(), shared / set));
      if (std::string(set) == "rec-214") one.name = "2.14 " + one.name;
      if (!one.resources.empty()) out.push_back(std::move(one));
    }
  }
  std::sort(out.begin(), out.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
  return out;
}

}  // namespace mooring::discovery
