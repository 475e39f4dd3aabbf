#include "transparent-proxy/nft_rules.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "core/log.h"
#include "transparent-proxy/facts.h"
#include "transparent-proxy/saved_rules.h"

namespace mooring::transparent_proxy {

namespace {

std::vector<std::uint16_t> redirected_to(const Plan& plan) {
  std::vector<std::uint16_t> ports{plan.outbound_port};
  if (plan.redirects_inbound) ports.push_back(plan.inbound_port);
  if (plan.redirects_dns()) ports.push_back(plan.dns.port);
  return ports;
}

}  // namespace

bool NftRules::Present::has(std::string_view name) const {
  return std::any_of(
      ours.begin(), ours.end(), [&](const TableName& table) { return table.name == name; });
}

NftRules::NftRules(std::unique_ptr<NftRunner> runner, NftRulesOptions options)
    : runner_(std::move(runner)), options_(std::move(options)) {
  if (!options_.count_connections) options_.count_connections = count_connections;
  if (!options_.saved_rules) options_.saved_rules = saved_nft_rules;
}

Checked<NftRules::Present> NftRules::look() {
  const auto text = runner_->list("list tables");
  if (!text) return fail(text.error());
  return Present{parse_our_tables(*text)};
}

std::string NftRules::deletion(const Present& present, std::string_view name) const {
  std::string text;
  for (const TableName& table : present.ours) {
    if (table.name == name) text += fmt::format("delete table {} {}\n", table.family, table.name);
  }
  return text;
}

// Beside a table that a helper before us left (a copy of its owner's socket keeps it until the
// agent lets go), else in turns.
char NftRules::next_letter(const Present& present) const {
  const char other = letter_ == 'a' ? 'b' : 'a';
  if (letter_ != 0 && present.has(capture_table(options_.boot_suffix, other))) return letter_;
  if (letter_ == 0 && present.has(capture_table(options_.boot_suffix, 'a'))) return 'b';
  return other;
}

Checked<void> NftRules::capture(const Plan& plan) {
  const auto present = look();
  if (!present) return fail(present.error());
  const char letter = next_letter(*present);
  const std::string guard = guard_table(options_.boot_suffix);
  const std::string drain = drain_table(options_.boot_suffix);
  std::string applied = render_nft(plan, {options_.family, letter, options_.can_own});
  applied += render_nft_guard(plan, options_.family);

  std::string commands;
  if (letter_ != 0) commands += deletion(*present, capture_table(options_.boot_suffix, letter_));
  commands += deletion(*present, guard) + deletion(*present, drain) + applied;
  if (auto done = runner_->run(commands); !done) return done;
  letter_ = letter;
  has_guard_ = plan.guards_anything();
  is_draining_ = false;
  drain_ports_ = redirected_to(plan);

  const auto listed = listing();
  if (!listed) return fail(listed.error());
  if (auto same = compare_listings(*listed, applied); !same) return same;
  baseline_ = *listed;
  tidy();
  return {};
}

// From what a helper before us left, so that its connections are drained as ours are.
void NftRules::learn_drain_ports(const Present& present) {
  if (!drain_ports_.empty()) return;
  const std::string drain = drain_table(options_.boot_suffix);
  for (const TableName& table : present.ours) {
    const bool is_capture = table.name == capture_table(options_.boot_suffix, 'a') ||
                            table.name == capture_table(options_.boot_suffix, 'b');
    if (!is_capture && table.name != drain) continue;
    const auto text = runner_->list(fmt::format("list table {} {}", table.family, table.name));
    if (text) drain_ports_ = parse_redirect_ports(*text);
    if (!drain_ports_.empty()) return;
  }
}

bool NftRules::is_drained() const {
  return std::all_of(drain_ports_.begin(), drain_ports_.end(), [this](std::uint16_t port) {
    return options_.count_connections(port) == 0;
  });
}

Checked<void> NftRules::end_capture(const Plan* guarded) {
  auto present = look();
  if (!present) return fail(present.error());
  learn_drain_ports(*present);
  const std::string drain = drain_table(options_.boot_suffix);
  std::string commands;
  std::string inherited;
  bool had_capture = false;
  for (const char letter : {'a', 'b'}) {
    const std::string gone = deletion(*present, capture_table(options_.boot_suffix, letter));
    had_capture = had_capture || !gone.empty();
    (letter == letter_ ? commands : inherited) += gone;
  }
  commands += deletion(*present, guard_table(options_.boot_suffix));
  if (guarded != nullptr) {
    commands += render_nft_guard(*guarded, options_.family);
    drain_ports_ = redirected_to(*guarded);
  }
  if (had_capture && !present->has(drain))
    commands += render_nft_drain(options_.boot_suffix, options_.family, drain_ports_);
  if (auto done = commands.empty() ? Checked<void>{} : runner_->run(commands); !done) return done;
  letter_ = 0;
  has_guard_ = guarded != nullptr && guarded->guards_anything();
  is_draining_ = had_capture || present->has(drain);
  remember();
  // Another process may own it; then it ends with that process, and everything above is done
  // already.
  if (!inherited.empty()) {
    if (auto done = runner_->run(inherited); !done) return done;
  }
  // From here on nothing more is redirected: if nothing is open now, there is nothing to drain.
  if (is_draining_) tidy();
  return {};
}

Checked<void> NftRules::release(const Plan& plan) {
  return end_capture(&plan);
}

Checked<void> NftRules::clear() {
  return end_capture(nullptr);
}

// One table at a time: nft 1.0.6 finds nothing when one buffer lists two.
Checked<std::string> NftRules::listing() {
  std::vector<std::string> names;
  if (letter_ != 0) names.push_back(capture_table(options_.boot_suffix, letter_));
  if (has_guard_) names.push_back(guard_table(options_.boot_suffix));
  std::string whole = "# ours\n";  // never empty
  for (const std::string& name : names) {
    for (const std::string& family : families_of(options_.family)) {
      auto text = runner_->list(fmt::format("list table {} {}", family, name));
      if (!text) return text;
      whole += *text;
    }
  }
  return whole;
}

void NftRules::remember() {
  baseline_ = listing().value_or(std::string());
}

bool NftRules::is_intact() {
  const auto listed = listing();
  return listed && *listed == baseline_;
}

void NftRules::tidy() {
  const auto present = look();
  if (!present) return;
  const std::string drain = drain_table(options_.boot_suffix);
  if (present->has(drain)) learn_drain_ports(*present);
  is_draining_ = present->has(drain) && !is_drained();
  for (const TableName& table : present->ours) {
    const bool is_current =
        letter_ != 0 && table.name == capture_table(options_.boot_suffix, letter_);
    const bool is_guard = has_guard_ && table.name == guard_table(options_.boot_suffix);
    // Before we have done anything, a table of this boot may be what protects the host right now.
    const bool is_undecided =
        baseline_.empty() && table.name != drain &&
        table.name.starts_with(fmt::format("{}{}_", kTablePrefix, options_.boot_suffix));
    const bool is_needed_drain = table.name == drain && is_draining_;
    if (is_current || is_guard || is_undecided || is_needed_drain) continue;
    if (!runner_->run(fmt::format("delete table {} {}\n", table.family, table.name))) continue;
    if (table.name != drain)
      log::info("capture: removed leftover table family={} name={}", table.family, table.name);
  }
}

// nft refuses a whole file because of one table that is owned by somebody else. Of another name it
// makes a table that ends with nft, or one that tidy() removes.
bool NftRules::is_name_saved() {
  if (letter_ == 0 || !options_.can_own) return false;
  const std::string saved = options_.saved_rules();
  const auto names = [&](char letter) {
    return saved.find(capture_table(options_.boot_suffix, letter)) != std::string::npos;
  };
  return names(letter_) && !names(letter_ == 'a' ? 'b' : 'a');
}

bool NftRules::has_inherited_capture() {
  const auto present = look();
  return present && letter_ == 0 &&
         (present->has(capture_table(options_.boot_suffix, 'a')) ||
          present->has(capture_table(options_.boot_suffix, 'b')));
}

RulesView NftRules::view() const {
  RulesView view;
  view.backend = options_.family == NftFamily::inet ? "nft inet" : "nft ip+ip6";
  if (letter_ != 0) view.table = capture_table(options_.boot_suffix, letter_);
  view.is_owned = letter_ != 0 && options_.can_own;
  view.owner_fd = options_.can_own ? runner_->owner_fd() : -1;
  view.has_guard = has_guard_;
  view.is_draining = is_draining_;
  return view;
}

}  // namespace mooring::transparent_proxy
