// Everything that was recorded goes through decode. docs/kuma.md has the table;
// MOORING_UPDATE_GOLDEN=1 writes it.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <iterator>
#include <set>
#include <sstream>

#include "discovery/decode.h"
#include "recordings.h"
#include "snapshot/build.h"

namespace mooring::discovery {
namespace {

constexpr std::string_view kBegin = "<!-- conformance: made by discovery_test -->\n";
constexpr std::string_view kEnd = "<!-- end of conformance -->\n";

/// What became of a resource, and what it is.
struct Outcome {
  std::string what;    // a column of the table
  std::string remark;  // empty: all of it is done
};

Outcome outcome_of(const snapshot::Listener& listener) {
  std::set<std::string> reasons;
  std::size_t refused = 0;
  for (const snapshot::FilterChain& chain : listener.chains) {
    if (chain.not_served.empty()) continue;
    ++refused;
    reasons.insert(chain.not_served);
  }
  if (refused == 0) return {"listeners", ""};
  const std::string reason = *reasons.begin();
  if (refused == listener.chains.size()) return {"refused", reason};
  return {"listeners",
          std::to_string(refused) + " of " + std::to_string(listener.chains.size()) +
              " chains: " + reason};
}
Outcome outcome_of(const SystemListener&) {
  return {"system", ""};
}
Outcome outcome_of(const snapshot::Cluster&) {
  return {"clusters", ""};
}
Outcome outcome_of(const PipeCluster&) {
  return {"pipes", ""};
}
Outcome outcome_of(const snapshot::LoadAssignment&) {
  return {"endpoints", ""};
}
Outcome outcome_of(const snapshot::Secret&) {
  return {"secrets", ""};
}

Outcome outcome_of(const Recorded& resource) {
  const DecodeResult decoded = decode(resource.type_url, resource.name, resource.bytes);
  if (!decoded) return {"rejected", decoded.error().field + ": " + decoded.error().reason};
  Outcome out = std::visit([](const auto& r) { return outcome_of(r); }, decoded->resource);
  for (const Note& warning : decoded->warnings) {
    if (!out.remark.empty()) out.remark += "; ";
    out.remark += warning.field + ": " + warning.text;
  }
  return out;
}

const std::vector<std::pair<std::string, std::string>> kColumns{
    {"clusters", "clusters"},
    {"pipes", "unix sockets"},
    {"endpoints", "endpoints"},
    {"secrets", "secrets"},
    {"listeners", "listeners"},
    {"system", "system listeners"},
    {"refused", "HTTP, refused"},
    {"rejected", "rejected"},
};

using Counts = std::map<std::string, int>;

std::string row_of(const std::string& name, Counts& counts) {
  std::string out = "| " + name;
  for (const auto& [key, title] : kColumns)
    out += " | " + (counts[key] == 0 ? std::string() : std::to_string(counts[key]));
  return out + " |\n";
}

std::string table_of(const std::vector<RecordedCase>& cases) {
  std::ostringstream out;
  out << "| case";
  for (const auto& [key, title] : kColumns)
    out << " | " << title;
  out << " |\n|---";
  for (std::size_t i = 0; i < kColumns.size(); ++i)
    out << "|---:";
  out << "|\n";
  Counts total;
  // Kind, name and remark, and the cases that have it.
  std::map<std::string, std::map<std::string, std::set<std::string>>> remarks;
  for (const RecordedCase& one : cases) {
    Counts counts;
    for (const Recorded& resource : one.resources) {
      const Outcome outcome = outcome_of(resource);
      ++counts[outcome.what];
      ++total[outcome.what];
      if (!outcome.remark.empty()) remarks[outcome.remark][resource.name].insert(one.name);
    }
    out << row_of(one.name, counts);
  }
  out << row_of("**all**", total)
      << "\n| what is not done | resources, and in how many cases |\n|---|---|\n";
  for (const auto& [remark, names] : remarks) {
    out << "| " << remark << " |";
    for (const auto& [name, in] : names)
      out << " `" << name << "` " << in.size();
    out << " |\n";
  }
  return out.str();
}

/// Everything of a case that the data path is for. The certificates live for a day and have
/// expired: whether one is in force is for the data path to say, not for build().
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

TEST(Conformance, BuildsASnapshotOfEachCase) {
  const std::vector<RecordedCase> cases = recorded_cases();
  if (cases.empty()) GTEST_SKIP() << "no recordings in ../shared/kuma: nothing was built";
  for (const RecordedCase& one : cases) {
    const snapshot::Built built = snapshot::build(resources_of(one), nullptr);
    ASSERT_NE(built.snapshot, nullptr);
    for (const snapshot::Rejected& rejected : built.rejected)
      ADD_FAILURE() << one.name << ": " << rejected.resource << ": " << rejected.field << ": "
                    << rejected.reason;
  }
}

TEST(Conformance, DecodesWhatARealControlPlaneSent) {
  const std::vector<RecordedCase> cases = recorded_cases();
  if (cases.empty()) GTEST_SKIP() << "no recordings in ../shared/kuma: nothing was compared";
  const std::string path = std::string(MOORING_SOURCE_DIR) + "/docs/kuma.md";
  std::ifstream file(path);
  std::string document{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  const std::size_t begin = document.find(kBegin);
  const std::size_t end = document.find(kEnd);
  ASSERT_TRUE(begin != std::string::npos && end != std::string::npos) << path;
  const std::size_t from = begin + kBegin.size();
  const std::string table = table_of(cases);
  if (std::getenv("MOORING_UPDATE_GOLDEN") != nullptr) {  // NOLINT(concurrency-mt-unsafe)
    document.replace(from, end - from, table);
    std::ofstream(path) << document;
    return;
  }
  EXPECT_EQ(document.substr(from, end - from), table);
}

}  // namespace
}  // namespace mooring::discovery
