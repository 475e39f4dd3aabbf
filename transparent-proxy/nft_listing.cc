// What nft lists, read back: the pure half of nft_rules.h.
#include <algorithm>
#include <map>
#include <sstream>

#include <fmt/format.h>

#include "transparent-proxy/nft_rules.h"

namespace mooring::transparent_proxy {

namespace {

struct Chain {
  std::string hook;                   // "nat output -110"
  std::vector<std::string> comments;  // of its rules, in order
  friend bool operator==(const Chain&, const Chain&) = default;
};
using Chains = std::map<std::string, Chain>;  // by "family table chain"

std::string comment_of(const std::string& rule) {
  constexpr std::string_view kMark = "comment \"";
  const std::size_t at = rule.rfind(kMark);
  if (at == std::string::npos) return {};
  const std::size_t begin = at + kMark.size();
  return rule.substr(begin, rule.rfind('"') - begin);
}

std::string hook_of(std::istringstream& words) {
  std::string type;
  std::string hook;
  std::string priority;
  std::string skip;
  words >> type >> skip >> hook >> skip >> priority;  // nat hook output priority -110;
  if (!priority.empty() && priority.back() == ';') priority.pop_back();
  return fmt::format("{} {} {}", type, hook, priority);
}

// Reads what we render and what nft lists: the lines that matter have the same shape in both.
Chains chains_of(std::string_view text) {
  Chains chains;
  std::istringstream lines{std::string(text)};
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
      table = fmt::format("{} {}", family, name);
    } else if (word == "chain") {
      std::string name;
      words >> name;
      chain = &chains[fmt::format("{} {}", table, name)];
    } else if (word == "type" && chain != nullptr) {
      chain->hook = hook_of(words);
    } else if (word == "}") {
      chain = nullptr;
    } else if (!word.empty() && chain != nullptr) {
      chain->comments.push_back(comment_of(line));
    }
  }
  return chains;
}

}  // namespace

std::vector<TableName> parse_our_tables(std::string_view text) {
  std::vector<TableName> tables;
  std::istringstream lines{std::string(text)};
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string word;
    TableName found;
    words >> word >> found.family >> found.name;
    if (word == "table" && found.name.starts_with(kTablePrefix)) tables.push_back(std::move(found));
  }
  return tables;
}

std::vector<std::uint16_t> parse_redirect_ports(std::string_view listing) {
  // "redirect to :15001" of a capture table, "redirected to :15001 to :15006" in the comment of a
  // drain table.
  constexpr std::string_view kMark = " to :";
  std::vector<std::uint16_t> ports;
  for (std::size_t at = 0; (at = listing.find(kMark, at)) != std::string_view::npos;) {
    at += kMark.size();
    const std::string_view digits =
        listing.substr(at, listing.find_first_not_of("0123456789", at) - at);
    if (const auto port = parse_port(digits)) ports.push_back(*port);
  }
  std::sort(ports.begin(), ports.end());
  ports.erase(std::unique(ports.begin(), ports.end()), ports.end());
  return ports;
}

Checked<void> compare_listings(std::string_view listed, std::string_view applied) {
  const Chains present = chains_of(listed);
  const Chains wanted = chains_of(applied);
  for (const auto& [name, chain] : wanted) {
    const auto found = present.find(name);
    if (found == present.end())
      return fail(Diagnostic{name, "is missing after it was applied", ""});
    if (found->second == chain) continue;
    return fail(Diagnostic{
        name,
        "is not what was applied",
        fmt::format("{} rules, hook {}", found->second.comments.size(), found->second.hook)});
  }
  if (present.size() == wanted.size()) return {};
  return fail(Diagnostic{"nftables", "there are more chains than were applied", ""});
}

}  // namespace mooring::transparent_proxy
