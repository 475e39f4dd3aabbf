// Everything that was recorded goes through decode and build. docs/kuma.md has the tables;
// MOORING_UPDATE_GOLDEN=1 writes them.
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

/// Between which lines of the document a table is.
struct Place {
  std::string_view begin;
  std::string_view end;
};
constexpr Place kRecordedTable{"<!-- conformance: made by discovery_test -->\n",
                               "<!-- end of conformance -->\n"};
constexpr Place kOwnTable{"<!-- own cases: made by discovery_test -->\n",
                          "<!-- end of own cases -->\n"};

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

/// "served: cluster, endpoints; listener refused: HTTP ..." of what has one name in a case.
std::string verdict_on(const std::vector<Recorded>& resources) {
  static const std::map<std::string, std::string> kinds{
      {"clusters", "cluster"},
      {"pipes", "unix socket"},
      {"endpoints", "endpoints"},
      {"secrets", "secret"},
      {"listeners", "listener"},
      {"system", "system listener"},
      {"refused", "listener refused"},
      {"rejected", "rejected"},
  };
  std::string served;
  std::string rest;
  for (const Recorded& resource : resources) {
    const Outcome outcome = outcome_of(resource);
    const std::string& kind = kinds.at(outcome.what);
    const bool is_served = outcome.what != "refused" && outcome.what != "rejected";
    if (is_served) served += (served.empty() ? "served: " : ", ") + kind;
    if (is_served && outcome.remark.empty()) continue;
    rest += "; " + kind + ": " + outcome.remark;
  }
  return served.empty() && !rest.empty() ? rest.substr(2) : served + rest;
}

/// Each resource of each case; what has the same name is in one line.
std::string own_table_of(const std::vector<RecordedCase>& cases) {
  std::ostringstream out;
  out << "| case | resource | what becomes of it |\n|---|---|---|\n";
  for (const RecordedCase& one : cases) {
    std::map<std::string, std::vector<Recorded>> by_name;
    for (const Recorded& resource : one.resources)
      by_name[resource.name].push_back(resource);
    for (const auto& [name, resources] : by_name)
      out << "| " << one.name << " | `" << name << "` | " << verdict_on(resources) << " |\n";
  }
  return out.str();
}

void expect_each_to_build(const std::vector<RecordedCase>& cases) {
  for (const RecordedCase& one : cases) {
    const snapshot::Built built = snapshot::build(resources_of(one), nullptr);
    ASSERT_NE(built.snapshot, nullptr);
    for (const snapshot::Rejected& rejected : built.rejected) {
      ADD_FAILURE() << one.name << ": " << rejected.resource << ": " << rejected.field << ": "
                    << rejected.reason;
    }
  }
}

void expect_in_document(const Place& place, const std::string& table) {
  const std::string path = std::string(MOORING_SOURCE_DIR) + "/docs/kuma.md";
  std::ifstream file(path);
  std::string document{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  const std::size_t begin = document.find(place.begin);
  const std::size_t end = document.find(place.end);
  ASSERT_TRUE(begin != std::string::npos && end != std::string::npos) << path;
  const std::size_t from = begin + place.begin.size();
  if (std::getenv("MOORING_UPDATE_GOLDEN") != nullptr) {  // NOLINT(concurrency-mt-unsafe)
    document.replace(from, end - from, table);
    std::ofstream(path) << document;
    return;
  }
  EXPECT_EQ(document.substr(from, end - from), table);
}

TEST(Conformance, BuildsASnapshotOfEachRecording) {
  const std::vector<RecordedCase> cases = recorded_cases();
  if (cases.empty()) GTEST_SKIP() << "no recordings in ../shared/kuma: only the own were built";
  expect_each_to_build(cases);
}

TEST(Conformance, BuildsASnapshotOfEachOwnCase) {
  const std::vector<RecordedCase> cases = own_cases();
  ASSERT_FALSE(cases.empty());
  expect_each_to_build(cases);
}

TEST(Conformance, DecodesWhatARealControlPlaneSent) {
  const std::vector<RecordedCase> cases = recorded_cases();
  if (cases.empty()) GTEST_SKIP() << "no recordings in ../shared/kuma: only the own were compared";
  expect_in_document(kRecordedTable, table_of(cases));
}

TEST(Conformance, DecodesTheOwnCases) {
  const std::vector<RecordedCase> cases = own_cases();
  ASSERT_FALSE(cases.empty());
  expect_in_document(kOwnTable, own_table_of(cases));
}

}  // namespace
}  // namespace mooring::discovery
