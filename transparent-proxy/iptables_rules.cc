#include "transparent-proxy/iptables_rules.h"

#include <unistd.h>

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "core/log.h"
#include "transparent-proxy/command.h"
#include "transparent-proxy/render_nft.h"

namespace mooring::transparent_proxy {

namespace {

std::vector<IptablesPart> joined(std::vector<IptablesPart> first,
                                 const std::vector<IptablesPart>& second) {
  first.insert(first.end(), second.begin(), second.end());
  return first;
}

std::size_t count_lines(std::string_view text, std::string_view start) {
  std::size_t count = 0;
  for (std::size_t at = text.find(start); at != std::string_view::npos;
       at = text.find(start, at + 1))
    ++count;
  return count;
}

}  // namespace

Checked<std::array<IptablesPrograms, 2>> find_iptables(IptablesFlavour flavour) {
  const bool wants_legacy = flavour == IptablesFlavour::legacy;
  const std::string infix = wants_legacy ? "-legacy" : "-nft";
  std::array<IptablesPrograms, 2> programs;
  for (std::size_t family = 0; family < 2; ++family) {
    const std::string base = family == 0 ? "iptables" : "ip6tables";
    if (!find_program(base + infix + "-restore").empty()) {
      programs[family] = {base + infix + "-restore", base + infix + "-save"};
      continue;
    }
    // One flavour only, without its name: 1.8 says which it is, older ones are legacy.
    const auto version = run_command({base, "-V"}, "");
    const bool is_nft = version && version->out.find("nf_tables") != std::string::npos;
    if (!version || is_nft == wants_legacy)
      return fail(Diagnostic{base + infix, "is not installed", ""});
    programs[family] = {base + "-restore", base + "-save"};
  }
  return programs;
}

IptablesRules::IptablesRules(IptablesFlavour flavour,
                             std::array<IptablesPrograms, 2> programs,
                             std::string boot_suffix,
                             std::shared_ptr<Journal> journal)
    : flavour_(flavour),
      programs_(std::move(programs)),
      families_(::access("/proc/net/if_inet6", F_OK) == 0 ? 2 : 1),
      boot_suffix_(std::move(boot_suffix)),
      journal_(std::move(journal)) {}

// As the journal names it.
std::string IptablesRules::kind(std::size_t family) const {
  return fmt::format("iptables-{} {} ",
                     flavour_ == IptablesFlavour::legacy ? "legacy" : "nft",
                     family == 0 ? 4 : 6);
}

// Table by table: the list of all tables is readable for root only.
Checked<std::string> IptablesRules::saved(std::size_t family) const {
  std::string whole;
  for (const char* table : {"nat", "mangle", "filter"}) {
    auto text = run_or_complain({programs_[family].save, "-t", table}, "");
    if (!text) return text;
    whole += *text;
  }
  return whole;
}

Checked<std::vector<IptablesChain>> IptablesRules::present(std::size_t family) const {
  const auto text = saved(family);
  if (!text) return fail(text.error());
  return parse_our_chains(*text);
}

Checked<void> IptablesRules::change(std::size_t family, const std::vector<IptablesPart>& wanted) {
  const auto chains = present(family);
  if (!chains) return fail(chains.error());
  const std::string text = render_iptables_change(wanted, *chains);
  if (text.empty()) return {};
  std::vector<std::string> things;
  things.reserve(wanted.size());
  for (const IptablesPart& part : wanted)
    things.push_back(fmt::format("{}{} {}", kind(family), part.chain.table, part.chain.name));
  if (journal_) journal_->will_add(things);
  auto done = run_or_complain({programs_[family].restore, "-w", "5", "--noflush"}, text);
  if (!done) return fail(done.error());
  if (journal_) journal_->keep_only(kind(family), things);
  return {};
}

// If IPv6 fails, IPv4 is put back to what it was: half a capture would be a surprise.
Checked<void> IptablesRules::change_both(Parts wanted) {
  if (auto done = change(0, wanted[0]); !done) return done;
  if (families_ == 2) {
    if (auto done = change(1, wanted[1]); !done) {
      if (auto back = change(0, parts_[0]); !back)
        log::error("IPv4 is not put back: {}", describe(back.error()));
      return done;
    }
  }
  parts_ = std::move(wanted);
  has_decided_ = true;
  baseline_ = picture();
  for (std::size_t family = 0; family < families_; ++family) {
    std::size_t rules = 0;
    for (const IptablesPart& part : parts_[family])
      rules += count_lines(part.rules, "-A ") + 1;  // and its jump
    std::size_t found = 0;
    const auto text = saved(family);
    if (text) found = count_lines(our_lines(*text), " -A ");
    if (found != rules) {
      return fail(Diagnostic{
          programs_[family].save, fmt::format("shows {} of our {} rules", found, rules), ""});
    }
  }
  return {};
}

Checked<void> IptablesRules::capture(const Plan& plan) {
  const char letter = letter_ == 'a' ? 'b' : 'a';
  Parts wanted;
  for (std::size_t family = 0; family < 2; ++family) {
    wanted[family] =
        joined(capture_parts(plan, letter, family == 1), guard_parts(plan, family == 1));
  }
  if (auto done = change_both(std::move(wanted)); !done) return done;
  letter_ = letter;
  has_guard_ = plan.guards_anything();
  return {};
}

Checked<void> IptablesRules::release(const Plan& plan) {
  // Nothing to drain: the built-in chains of the nat table keep NAT and conntrack running.
  if (auto done = change_both({guard_parts(plan, false), guard_parts(plan, true)}); !done)
    return done;
  letter_ = 0;
  has_guard_ = plan.guards_anything();
  return {};
}

Checked<void> IptablesRules::clear() {
  if (auto done = change_both({}); !done) return done;
  letter_ = 0;
  has_guard_ = false;
  return {};
}

std::string IptablesRules::picture() const {
  std::string whole = "rules:\n";
  for (std::size_t family = 0; family < families_; ++family) {
    const auto text = saved(family);
    if (!text) return {};
    whole += our_lines(*text);
  }
  return whole;
}

bool IptablesRules::is_intact() {
  return !has_decided_ || picture() == baseline_;
}

void IptablesRules::tidy() {
  // Chains of another boot; those of this one are what change() leaves, or not ours to judge before
  // it ran.
  const std::string of_this_boot = fmt::format("{}{}_", kTablePrefix, boot_suffix_);
  for (std::size_t family = 0; family < families_; ++family) {
    auto chains = present(family);
    if (!chains) continue;
    std::erase_if(*chains,
                  [&](const IptablesChain& chain) { return chain.name.starts_with(of_this_boot); });
    const std::string text = render_iptables_change({}, *chains);
    if (text.empty()) continue;
    const auto done = run_or_complain({programs_[family].restore, "-w", "5", "--noflush"}, text);
    if (!done) log::warn("leftover chains stay: {}", describe(done.error()));
  }
}

bool IptablesRules::has_inherited_capture() {
  const auto chains = present(0);
  if (!chains || letter_ != 0) return false;
  return std::any_of(chains->begin(), chains->end(), [&](const IptablesChain& chain) {
    return chain.table != "filter" &&
           chain.name.starts_with(fmt::format("{}{}_", kTablePrefix, boot_suffix_));
  });
}

RulesView IptablesRules::view() const {
  RulesView view;
  view.backend = flavour_ == IptablesFlavour::legacy ? "iptables-legacy" : "iptables-nft";
  if (letter_ != 0) view.table = capture_table(boot_suffix_, letter_);
  view.has_guard = has_guard_;
  return view;
}

}  // namespace mooring::transparent_proxy
