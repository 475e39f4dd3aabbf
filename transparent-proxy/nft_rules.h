// Rules by nf_tables.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "transparent-proxy/nft_runner.h"
#include "transparent-proxy/render_nft.h"
#include "transparent-proxy/rules.h"

namespace mooring::transparent_proxy {

struct NftRulesOptions {
  NftFamily family = NftFamily::inet;
  bool can_own = false;  // the kernel knows `flags owner` and the runner has a socket that lasts
  std::string boot_suffix;
  /// Connections of this host whose own port is the given one.
  std::function<std::size_t(std::uint16_t)> count_connections{};  // empty: those of /proc
  std::function<std::string()> saved_rules{};                     // empty: those of /etc
};

class NftRules : public Rules {
 public:
  NftRules(std::unique_ptr<NftRunner> runner, NftRulesOptions options);

  Checked<void> capture(const Plan& plan) override;
  Checked<void> release(const Plan& plan) override;
  Checked<void> clear() override;
  bool is_intact() override;
  void tidy() override;
  bool is_name_saved() override;
  bool has_inherited_capture() override;
  [[nodiscard]] RulesView view() const override;

 private:
  struct Present {
    std::vector<TableName> ours;  // all tables with our prefix
    [[nodiscard]] bool has(std::string_view name) const;
  };
  [[nodiscard]] Checked<Present> look();
  [[nodiscard]] std::string deletion(const Present& present, std::string_view name) const;
  [[nodiscard]] Checked<std::string> listing();
  [[nodiscard]] char next_letter(const Present& present) const;
  [[nodiscard]] Checked<void> end_capture(const Plan* guarded);
  void remember();
  void learn_drain_ports(const Present& present);
  [[nodiscard]] bool is_drained() const;

  std::unique_ptr<NftRunner> runner_;
  NftRulesOptions options_;
  char letter_ = 0;  // of the capture table that we made; 0: none
  bool has_guard_ = false;
  bool is_draining_ = false;
  std::vector<std::uint16_t> drain_ports_;  // where drained connections were redirected to
  std::string baseline_;  // listing() right after our last change; empty before the first
};

/// The tables in the answer to "list tables" whose names carry our prefix.
[[nodiscard]] std::vector<TableName> parse_our_tables(std::string_view text);
/// The ports to which the rules of a listing redirect, or redirected what they drain: sorted.
[[nodiscard]] std::vector<std::uint16_t> parse_redirect_ports(std::string_view listing);
/// Compares the listings of our tables with the text that was applied: chains with hook and
/// priority, and the comments of the rules in their order. Fails with the first difference.
[[nodiscard]] Checked<void> compare_listings(std::string_view listed, std::string_view applied);

}  // namespace mooring::transparent_proxy
