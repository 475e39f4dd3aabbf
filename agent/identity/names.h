// The subject alternative names of a certificate (RFC 5280 §4.2.1.6): what its holder is called.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "core/result.h"

struct x509_st;

namespace mooring::identity {

enum class NameType : std::uint8_t { uri, dns, ip_address, email };

/// One name. An IP address is its text, "10.0.0.1".
struct Name {
  NameType type = NameType::uri;
  std::string_view text;

  friend bool operator==(const Name&, const Name&) = default;
};

/// Names in the certificate's order, in one block of memory: a worker keeps one for each peer that
/// it talks to, and a ticket carries it as it is.
class Names {
 public:
  static constexpr std::size_t kMaxTextBytes = 65535;

  /// Of what packed() gave; nothing when it is anything else.
  [[nodiscard]] static std::optional<Names> unpack(std::string_view packed);

  /// `text` has 1 to kMaxTextBytes bytes.
  void add(NameType type, std::string_view text);

  /// Views into this object.
  class Iterator {
   public:
    explicit Iterator(std::string_view rest) noexcept : rest_(rest) {}
    [[nodiscard]] Name operator*() const noexcept;
    Iterator& operator++() noexcept;
    friend bool operator==(const Iterator& a, const Iterator& b) noexcept {
      return a.rest_.size() == b.rest_.size();
    }

   private:
    std::string_view rest_;  // of packed_
  };
  [[nodiscard]] Iterator begin() const noexcept { return Iterator(packed_); }
  [[nodiscard]] Iterator end() const noexcept { return Iterator({}); }
  [[nodiscard]] bool empty() const noexcept { return packed_.empty(); }

  /// The one URI that is a SPIFFE ID of a workload, whatever other names there are. Empty: there is
  /// none, or there are several.
  [[nodiscard]] std::string_view spiffe_id() const noexcept;
  [[nodiscard]] const std::string& packed() const noexcept { return packed_; }

 private:
  std::string packed_;  // for each: type, length in two bytes (high, low), text
};

/// URI, DNS, IP address and e-mail names; other kinds are left out. No names: not an error. Fails
/// with bad_certificate for an extension that is broken or there twice, and for a name that is
/// empty or has bytes other than printable ASCII; the error's place says which.
[[nodiscard]] Result<Names> subject_alternative_names(const x509_st& certificate);

}  // namespace mooring::identity
