// How each kind of setting is written: a value of the document to a typed value, or a fault with a
// hint. A format is a struct of statics: Type, kKind, kName and kExample (for messages and the
// reference), parse, show.
#pragma once

#include <array>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "config/model.h"
#include "config/tree.h"

namespace mooring::config {

struct Fault {
  std::string message;  // continues "key ": "takes a duration, not an integer"
  std::string hint;
};
template <class T>
using Parsed = tl::expected<T, Fault>;

/// Of an integer, of a duration in milliseconds, of a list's length. max 0: the format's own.
struct Bounds {
  std::int64_t min = 0;
  std::int64_t max = 0;
};

/// "5s", "100ms"; the largest unit that divides.
[[nodiscard]] std::string show_duration(Milliseconds duration);
[[nodiscard]] std::string quote(std::string_view text);  // for messages: escaped, cut, in quotes
[[nodiscard]] bool is_host_name(std::string_view text) noexcept;
/// What Kuma takes for the name of a resource: small letters, digits, '-', '.' and '_'.
[[nodiscard]] bool is_resource_name(std::string_view text) noexcept;
/// A label of DNS in small letters (RFC 1123 §2.1).
[[nodiscard]] bool is_dns_label(std::string_view text) noexcept;

namespace format {

using Kind = Value::Kind;

struct Text {
  using Type = std::string;
  static constexpr Kind kKind = Kind::text;
  static constexpr std::string_view kName = "text";
  static constexpr std::string_view kExample = "\"text\"";
  static Parsed<Type> parse(const Value& value, const Bounds& bounds);
  static std::string show(const Type& value) { return value; }
};

/// A service or upstream name: it becomes a label of metrics and a word of logs.
struct Name : Text {
  static constexpr std::string_view kName = "name";
  static constexpr std::string_view kExample = "\"shop-db\"";
  static Parsed<Type> parse(const Value& value, const Bounds& bounds);
};

struct Path : Text {
  static constexpr std::string_view kName = "path";
  static constexpr std::string_view kExample = "\"/etc/mooring/file\"";
  static Parsed<Type> parse(const Value& value, const Bounds& bounds);
};

/// A file, or "credential:NAME" of systemd's LoadCredential=.
struct SecretPath : Path {
  static Parsed<Type> parse(const Value& value, const Bounds& bounds);
};

struct SocketPath : Path {
  static Parsed<Type> parse(const Value& value, const Bounds& bounds);
};

struct TrustDomain : Text {
  static constexpr std::string_view kName = "trust domain";
  static constexpr std::string_view kExample = "\"shop.example\"";
  static Parsed<Type> parse(const Value& value, const Bounds& bounds);
};

struct ServerName : Text {
  static constexpr std::string_view kName = "server name";
  static constexpr std::string_view kExample = "\"db.shop.example\"";
  static Parsed<Type> parse(const Value& value, const Bounds& bounds);
};

/// A mesh or a Dataplane, as a control plane names its resources.
struct ResourceName : Text {
  static constexpr std::string_view kName = "resource name";
  static constexpr std::string_view kExample = "\"default\"";
  static Parsed<Type> parse(const Value& value, const Bounds& bounds);
};

/// A workload: it becomes the name of a MeshService, and so a label of DNS.
struct WorkloadName : Text {
  static constexpr std::string_view kName = "workload name";
  static constexpr std::string_view kExample = "\"shop-db\"";
  static Parsed<Type> parse(const Value& value, const Bounds& bounds);
};

/// https://host:port of a control plane; its usual port where none is written.
struct ControlPlaneUrl {
  using Type = ControlPlaneAddress;
  static constexpr Kind kKind = Kind::text;
  static constexpr std::string_view kName = "URL";
  static constexpr std::string_view kExample = "\"https://cp.example:5678\"";
  static Parsed<Type> parse(const Value& value, const Bounds& bounds);
};

struct ProxyUrl {
  using Type = std::optional<ControlPlaneProxy>;
  static constexpr Kind kKind = Kind::text;
  static constexpr std::string_view kName = "URL";
  static constexpr std::string_view kExample = "\"http://proxy.example:3128\"";
  static Parsed<Type> parse(const Value& value, const Bounds& bounds);
  static std::string show(const Type& value);
};

struct Ip {
  using Type = std::optional<IpAddress>;
  static constexpr Kind kKind = Kind::text;
  static constexpr std::string_view kName = "address";
  static constexpr std::string_view kExample = "\"10.0.0.5\"";
  static Parsed<Type> parse(const Value& value, const Bounds& bounds);
  static std::string show(const Type& value) { return value ? value->to_string() : ""; }
};

struct Flag {
  using Type = bool;
  static constexpr Kind kKind = Kind::boolean;
  static constexpr std::string_view kName = "true or false";
  static constexpr std::string_view kExample = "true";
  static Parsed<Type> parse(const Value& value, const Bounds&) { return value.boolean; }
  static std::string show(Type value) { return value ? "true" : "false"; }
};

struct Port {
  using Type = std::uint16_t;
  static constexpr Kind kKind = Kind::integer;
  static constexpr std::string_view kName = "port";
  static constexpr std::string_view kExample = "5432";
  static Parsed<Type> parse(const Value& value, const Bounds& bounds);
  static std::string show(Type value) { return value == 0 ? "" : std::to_string(value); }
};

struct Number {
  using Type = std::uint32_t;
  static constexpr Kind kKind = Kind::integer;
  static constexpr std::string_view kName = "integer";
  static constexpr std::string_view kExample = "10";
  static Parsed<Type> parse(const Value& value, const Bounds& bounds);
  static std::string show(Type value) { return std::to_string(value); }
};

struct Duration {
  using Type = Milliseconds;
  static constexpr Kind kKind = Kind::text;
  static constexpr std::string_view kName = "duration";
  static constexpr std::string_view kExample = "\"5s\"";
  static Parsed<Type> parse(const Value& value, const Bounds& bounds);
  static std::string show(const Type& value) { return show_duration(value); }
};

/// Optional socket addresses; kNone is the word for "no address", if there is one.
struct Listen {
  using Type = std::optional<SocketAddress>;
  static constexpr Kind kKind = Kind::text;
  static constexpr std::string_view kName = "address and port";
  static constexpr std::string_view kExample = "\"10.0.0.5:5432\"";
  static Parsed<Type> parse(const Value& value, const Bounds& bounds);
  static std::string show(const Type& value) { return value ? value->to_string() : ""; }
};
struct Target : Listen {
  static constexpr std::string_view kName = "\"host\", or address and port";
  static Parsed<Type> parse(const Value& value, const Bounds& bounds);
  static std::string show(const Type& value) { return value ? value->to_string() : "host"; }
};
struct Metrics : Listen {
  static constexpr std::string_view kName = "\"off\", or address and port";
  static constexpr std::string_view kExample = "\"127.0.0.1:15090\"";
  static Parsed<Type> parse(const Value& value, const Bounds& bounds);
  static std::string show(const Type& value) { return value ? value->to_string() : "off"; }
};

struct Pattern {
  using Type = SpiffePattern;
  static constexpr Kind kKind = Kind::text;
  static constexpr std::string_view kName = "SPIFFE ID or prefix";
  static constexpr std::string_view kExample = "\"spiffe://shop.example/web\"";
  static Parsed<Type> parse(const Value& value, const Bounds& bounds);
};

struct Prefix {
  using Type = IpPrefix;
  static constexpr Kind kKind = Kind::text;
  static constexpr std::string_view kName = "address or CIDR block";
  static constexpr std::string_view kExample = "\"10.0.0.0/24\"";
  static Parsed<Type> parse(const Value& value, const Bounds& bounds);
};

struct Dialled {
  using Type = Destination;
  static constexpr Kind kKind = Kind::text;
  static constexpr std::string_view kName = "address, CIDR block or host name";
  static constexpr std::string_view kExample = "\"10.0.0.0/24\"";
  static Parsed<Type> parse(const Value& value, const Bounds& bounds);
};

struct Endpoint {
  using Type = EndpointAddress;
  static constexpr Kind kKind = Kind::text;
  static constexpr std::string_view kName = "address or host name with port";
  static constexpr std::string_view kExample = "\"10.0.0.3:5432\"";
  static Parsed<Type> parse(const Value& value, const Bounds& bounds);
};

/// "\"strict\", \"permissive\"".
[[nodiscard]] std::string join_words(std::span<const std::string_view> words);

/// One of a few words. Words is an array of {text, value}.
template <const auto& Words>
struct OneOf {
  using Type = decltype(Words.front().second);
  static constexpr Kind kKind = Kind::text;
  static constexpr std::string_view kName = "word";
  static constexpr std::string_view kExample = "";
  static Parsed<Type> parse(const Value& value, const Bounds&);
  static std::string show(const Type& value);
  static std::string words();
};

/// A string out of a list of known ones.
template <const auto& Words>
struct Known : Text {
  static constexpr std::string_view kName = "known name";
  static constexpr std::string_view kExample = "";
  static std::string words() { return join_words(Words); }
  static Parsed<Type> parse(const Value& value, const Bounds&);
};

template <class Item>
struct ListOf {
  using Type = std::vector<typename Item::Type>;
  using ItemFormat = Item;
  static constexpr Kind kKind = Kind::list;
  static std::string show(const Type&) { return ""; }
};

/// Whether Format is a ListOf.
template <class Format>
concept AList = requires { typename Format::ItemFormat; };

/// "takes one of "a", "b"" and the nearest of them as the hint.
[[nodiscard]] Fault not_a_word(std::string_view text, std::span<const std::string_view> words);

template <const auto& Words>
Parsed<typename OneOf<Words>::Type> OneOf<Words>::parse(const Value& value, const Bounds&) {
  std::array<std::string_view, Words.size()> known;
  for (std::size_t i = 0; i < Words.size(); ++i) {
    if (value.text == Words[i].first) return Words[i].second;
    known[i] = Words[i].first;
  }
  return tl::unexpected(not_a_word(value.text, known));
}

template <const auto& Words>
std::string OneOf<Words>::show(const Type& value) {
  for (const auto& [text, word] : Words) {
    if (word == value) return std::string(text);
  }
  return "";
}

template <const auto& Words>
std::string OneOf<Words>::words() {
  std::array<std::string_view, Words.size()> known;
  for (std::size_t i = 0; i < Words.size(); ++i)
    known[i] = Words[i].first;
  return join_words(known);
}

template <const auto& Words>
Parsed<std::string> Known<Words>::parse(const Value& value, const Bounds&) {
  for (const std::string_view word : Words) {
    if (value.text == word) return value.text;
  }
  return tl::unexpected(not_a_word(value.text, Words));
}

}  // namespace format

}  // namespace mooring::config
