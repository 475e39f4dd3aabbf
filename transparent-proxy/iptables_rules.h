// Rules by iptables-restore and ip6tables-restore, for hosts where nftables cannot be used
// directly.
#pragma once

#include <array>
#include <memory>
#include <string>
#include <vector>

#include "transparent-proxy/journal.h"
#include "transparent-proxy/render_iptables.h"
#include "transparent-proxy/rules.h"

namespace mooring::transparent_proxy {

enum class IptablesFlavour : std::uint8_t { nft, legacy };

/// The programs of one flavour on this host.
struct IptablesPrograms {
  std::string restore;
  std::string save;
};
/// Index 0: IPv4, 1: IPv6. Fails where the flavour is not installed.
[[nodiscard]] Checked<std::array<IptablesPrograms, 2>> find_iptables(IptablesFlavour flavour);

class IptablesRules : public Rules {
 public:
  IptablesRules(IptablesFlavour flavour,
                std::array<IptablesPrograms, 2> programs,
                std::string boot_suffix,
                std::shared_ptr<Journal> journal = nullptr);

  Checked<void> capture(const Plan& plan) override;
  Checked<void> release(const Plan& plan) override;
  Checked<void> clear() override;
  bool is_intact() override;
  void tidy() override;
  bool has_inherited_capture() override;
  [[nodiscard]] RulesView view() const override;

 private:
  using Parts = std::array<std::vector<IptablesPart>, 2>;

  [[nodiscard]] Checked<std::string> saved(std::size_t family) const;
  [[nodiscard]] Checked<std::vector<IptablesChain>> present(std::size_t family) const;
  [[nodiscard]] Checked<void> change(std::size_t family, const std::vector<IptablesPart>& wanted);
  [[nodiscard]] Checked<void> change_both(Parts wanted);
  [[nodiscard]] std::string kind(std::size_t family) const;
  [[nodiscard]] std::string picture() const;

  IptablesFlavour flavour_;
  std::array<IptablesPrograms, 2> programs_;
  std::size_t families_ = 2;  // 1 on a host without IPv6
  std::string boot_suffix_;
  std::shared_ptr<Journal> journal_;  // may be null
  char letter_ = 0;
  bool has_guard_ = false;
  bool has_decided_ = false;  // before that, chains of this boot are left alone
  Parts parts_;
  std::string baseline_;
};

}  // namespace mooring::transparent_proxy
