// Stands for the kernel: remembers what it was told.
#pragma once

#include "transparent-proxy/rules.h"

namespace mooring::transparent_proxy {

class FakeRules : public Rules {
 public:
  enum class Kernel : std::uint8_t { nothing, captured, guarded };

  Checked<void> capture(const Plan& plan) override {
    if (is_broken) return refuse();
    kernel = Kernel::captured;
    last = plan;
    ++captures;
    is_inherited = false;
    return {};
  }
  Checked<void> release(const Plan& plan) override {
    if (is_broken) return refuse();
    kernel = plan.guards_anything() ? Kernel::guarded : Kernel::nothing;
    ++releases;
    return {};
  }
  Checked<void> clear() override {
    if (is_broken) return refuse();
    kernel = Kernel::nothing;
    return {};
  }
  bool is_intact() override { return is_untouched; }
  void tidy() override {}
  bool has_inherited_capture() override { return is_inherited; }
  [[nodiscard]] RulesView view() const override {
    RulesView seen;
    seen.backend = "fake";
    seen.is_owned = owner_fd >= 0 && kernel == Kernel::captured;
    seen.owner_fd = owner_fd;
    if (kernel == Kernel::captured) seen.table = "mooring_0123abcd_a";
    return seen;
  }

  Kernel kernel = Kernel::nothing;
  Plan last;
  int captures = 0;
  int releases = 0;
  int owner_fd = -1;
  bool is_broken = false;
  bool is_untouched = true;
  bool is_inherited = false;

 private:
  static Checked<void> refuse() { return fail(Diagnostic{"kernel", "no", ""}); }
};

}  // namespace mooring::transparent_proxy
