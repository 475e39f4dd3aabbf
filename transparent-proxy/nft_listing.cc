// What nft lists, read back: the pure half of nft_rules.h.
#include <map>
#include <sstream>
#include <tuple>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "transparent-proxy/nft_rules.h"

namespace mooring::transparent_proxy {

namespace {

using nlohmann::json;

std::string string_at(const json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

// The objects of the answer with this key: {"nftables": [{"table": {...}}, {"chain": {...}}, ...]}.
std::vector<json> entries(const json& listing, const char* key) {
  std::vector<json> found;
  const auto list = listing.find("nftables");
  if (!listing.is_object() || list == listing.end() || !list->is_array()) return found;
  for (const json& entry : *list) {
    if (!entry.is_object()) continue;
    const auto value = entry.find(key);
    if (value != entry.end() && value->is_object()) found.push_back(*value);
  }
  return found;
}

json parse(std::string_view text) {
  return json::parse(text, nullptr, /*allow_exceptions=*/false);
}

void erase_handles(json& value) {
  if (value.is_object()) {
    value.erase("handle");
    // Of a table; nft 1.0.6 prints the name of some other table there.
    if (value.contains("flags") && value.contains("name")) value.erase("flags");
  }
  if (!value.is_structured()) return;
  for (auto& child : value)
    erase_handles(child);
}

struct Chain {
  std::string hook;                   // "nat output -110"
  std::vector<std::string> comments;  // of its rules, in order
  friend bool operator==(const Chain&, const Chain&) = default;
};
using Chains = std::map<std::string, Chain>;  // by "family table chain"

void add_chains(const json& listing, Chains& chains) {
  const auto name_of = [](const json& object, const char* chain_key) {
    return fmt::format("{} {} {}",
                       string_at(object, "family"),
                       string_at(object, "table"),
                       string_at(object, chain_key));
  };
  for (const json& chain : entries(listing, "chain")) {
    const auto prio = chain.find("prio");
    chains[name_of(chain, "name")].hook =
        fmt::format("{} {} {}",
                    string_at(chain, "type"),
                    string_at(chain, "hook"),
                    prio != chain.end() && prio->is_number_integer() ? prio->get<int>() : 0);
  }
  for (const json& rule : entries(listing, "rule")) {
    chains[name_of(rule, "chain")].comments.push_back(string_at(rule, "comment"));
  }
}

// Reads our own rendering, whose lines have one shape each.
Chains chains_of(std::string_view applied) {
  Chains chains;
  std::istringstream lines{std::string(applied)};
  std::string table;
  Chain* chain = nullptr;
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string word;
    words >> word;
    if (word == "table") {
      std::string family;
      std::string name;
      words >> family >> name;
      table = family + " " + name;
    } else if (word == "chain") {
      std::string name;
      words >> name;
      chain = &chains[table + " " + name];
    } else if (word == "type") {
      std::string type;
      std::string skip;
      std::string hook;
      std::string prio;
      words >> type >> skip >> hook >> skip >> prio;
      if (!prio.empty()) prio.pop_back();  // ';'
      if (chain != nullptr) chain->hook = fmt::format("{} {} {}", type, hook, prio);
    } else if (word != "}" && word != "flags" && !word.empty() && chain != nullptr) {
      constexpr std::string_view kMark = "comment \"";
      const std::size_t at = line.rfind(kMark);
      const std::size_t begin = at + kMark.size();
      chain->comments.push_back(
          at == std::string::npos ? "" : line.substr(begin, line.rfind('"') - begin));
    }
  }
  return chains;
}

}  // namespace

std::vector<TableName> parse_our_tables(std::string_view text) {
  std::vector<TableName> tables;
  for (const json& table : entries(parse(text), "table")) {
    TableName found{string_at(table, "family"), string_at(table, "name")};
    if (found.name.starts_with(kTablePrefix)) tables.push_back(std::move(found));
  }
  return tables;
}

std::string normalise_listing(std::string_view text) {
  json listing = parse(text);
  if (!listing.is_object()) return {};
  const auto list = listing.find("nftables");
  if (list == listing.end() || !list->is_array()) return {};
  std::string out;
  for (json& entry : *list) {
    if (entry.is_object() && entry.contains("metainfo")) continue;
    erase_handles(entry);
    out += entry.dump();
  }
  return out;
}

Checked<void> compare_listings(const std::vector<std::string>& listings, std::string_view applied) {
  Chains present;
  for (const std::string& listing : listings)
    add_chains(parse(listing), present);
  const Chains wanted = chains_of(applied);
  for (const auto& [name, chain] : wanted) {
    const auto found = present.find(name);
    if (found == present.end())
      return fail(Diagnostic{name, "is missing after it was applied", ""});
    if (!(found->second == chain)) {
      return fail(Diagnostic{
          name,
          "is not what was applied",
          fmt::format("{} rules, hook {}", found->second.comments.size(), found->second.hook)});
    }
  }
  if (present.size() != wanted.size())
    return fail(Diagnostic{"nftables", "there are more chains than were applied", ""});
  return {};
}

}  // namespace mooring::transparent_proxy
