#include "discovery/last_good.h"

#include <algorithm>
#include <cstdint>

#include <fmt/format.h>

#include "core/file.h"
#include "identity/digest.h"

namespace mooring::discovery {

namespace {

// "mooring-last-good 1 MACHINE DIGEST\n", then what the digest is of: seconds, node, number of
// resources, and the resources. Numbers are eight bytes, the least significant first; a text is its
// length and its bytes.
constexpr std::string_view kMagic = "mooring-last-good ";
constexpr std::string_view kVersion = "1";
constexpr std::size_t kDigestBytes = 64;
constexpr std::size_t kNumberBytes = 8;
// Kind and three lengths: what a resource has at least, and so how many a file can hold.
constexpr std::size_t kMinResourceBytes = 4 * kNumberBytes;

constexpr const char* kIgnored =
    "it is ignored, and written anew when the control plane has answered";

// systemd asks that the id itself is not shown to others (machine-id(5)).
std::string machine_digest(std::string_view machine_id) {
  return identity::sha256_hex(fmt::format("mooring last good {}", machine_id));
}

void put(std::string& out, std::uint64_t number) {
  for (std::size_t i = 0; i < kNumberBytes; ++i)
    out += static_cast<char>(number >> (8 * i) & 255U);
}
void put(std::string& out, std::string_view text) {
  put(out, std::uint64_t{text.size()});
  out += text;
}

/// Takes from the front; what is not there is a failure that stays.
class Taker {
 public:
  explicit Taker(std::string_view bytes) : bytes_(bytes) {}

  std::uint64_t number() {
    const std::string_view raw = take(kNumberBytes);
    std::uint64_t number = 0;
    for (std::size_t i = raw.size(); i-- > 0;)
      number = number << 8U | static_cast<unsigned char>(raw[i]);
    return number;
  }
  std::string text() { return std::string(take(number())); }
  [[nodiscard]] std::size_t left() const noexcept { return bytes_.size(); }
  [[nodiscard]] bool is_good() const noexcept { return is_good_; }

 private:
  std::string_view take(std::uint64_t count) {
    if (count > bytes_.size()) {
      is_good_ = false;
      bytes_ = {};
      return {};
    }
    const std::string_view taken = bytes_.substr(0, count);
    bytes_.remove_prefix(count);
    return taken;
  }

  std::string_view bytes_;
  bool is_good_ = true;
};

tl::unexpected<Diagnostic> refuse(const char* why) {
  return fail(Diagnostic{"", why, kIgnored});
}

Checked<LastGood> decode_body(std::string_view body) {
  Taker taker(body);
  LastGood result;
  const auto seconds = static_cast<std::int64_t>(taker.number() & 0xffffffffffU);
  result.saved_at = WallTime(std::chrono::seconds(std::min(seconds, std::int64_t{9'000'000'000})));
  result.node_id = taker.text();
  const std::uint64_t count = taker.number();
  if (count > taker.left() / kMinResourceBytes) return refuse("the file is damaged");
  result.resources.reserve(count);
  for (std::uint64_t i = 0; i < count; ++i) {
    const std::uint64_t kind = taker.number();
    if (kind >= kResourceKinds.size()) return refuse("the file is damaged");
    StoredResource& resource = result.resources.emplace_back();
    resource.kind = kResourceKinds[kind];
    resource.name = taker.text();
    resource.version = taker.text();
    resource.bytes = taker.text();
  }
  if (!taker.is_good() || taker.left() != 0) return refuse("the file is damaged");
  return result;
}

void drop_secrets(LastGood& last_good) {
  std::erase_if(last_good.resources,
                [](const StoredResource& each) { return each.kind == ResourceKind::secret; });
}

}  // namespace

Result<std::string> read_machine_id(const std::string& path) {
  constexpr std::size_t kDigits = 32;
  auto content = read_file(path, kDigits + 1);
  if (!content) return fail(content.error());
  while (content->ends_with('\n'))
    content->pop_back();
  if (content->size() != kDigits ||
      content->find_first_not_of("0123456789abcdef") != std::string::npos)
    return fail(Errc::bad_input, "machine-id");  // "uninitialized" before the first boot
  return *content;
}

std::string encode_last_good(const LastGood& last_good, std::string_view machine_id) {
  std::string body;
  const auto since =
      std::chrono::duration_cast<std::chrono::seconds>(last_good.saved_at.time_since_epoch());
  put(body, static_cast<std::uint64_t>(std::max(since.count(), std::chrono::seconds::rep{0})));
  put(body, last_good.node_id);
  put(body, std::uint64_t{last_good.resources.size()});
  for (const StoredResource& resource : last_good.resources) {
    put(body, static_cast<std::uint64_t>(resource.kind));
    put(body, resource.name);
    put(body, resource.version);
    put(body, resource.bytes);
  }
  return fmt::format("{}{} {} {}\n",
                     kMagic,
                     kVersion,
                     machine_digest(machine_id),
                     identity::sha256_hex(body)) +
         body;
}

Checked<LastGood> decode_last_good(std::string_view content, std::string_view machine_id) {
  const std::size_t end = content.substr(0, 256).find('\n');
  std::string_view head = content.substr(0, end == std::string_view::npos ? 0 : end);
  if (!head.starts_with(kMagic)) return refuse("this is no file of last good resources");
  head.remove_prefix(kMagic.size());
  const std::string_view version = head.substr(0, head.find(' '));
  if (version != kVersion) return refuse("the file was written by another version");
  head.remove_prefix(std::min(version.size() + 1, head.size()));
  if (head.size() != 2 * kDigestBytes + 1 || head[kDigestBytes] != ' ')
    return refuse("the file is damaged");
  const std::string_view body = content.substr(end + 1);
  if (head.substr(kDigestBytes + 1) != identity::sha256_hex(body))
    return refuse("the file is damaged");
  if (head.substr(0, kDigestBytes) != machine_digest(machine_id))
    return refuse("the file is of another machine");
  return decode_body(body);
}

Checked<std::size_t> LastGoodFile::save(LastGood last_good) const {
  constexpr unsigned kMode = 0600;
  if (!keeps_secrets_) drop_secrets(last_good);
  const std::string content = encode_last_good(last_good, machine_id_);
  if (content.size() > kMaxLastGoodBytes)
    return fail(Diagnostic{path_, "there is more to keep than 128 MiB", "nothing was written"});
  if (const auto done = write_file_atomically(path_, content, kMode); !done)
    return fail(Diagnostic{path_, "cannot be written: " + describe(done.error()), ""});
  return content.size();
}

Checked<LastGood> LastGoodFile::load() const {
  const auto content = read_file(path_, kMaxLastGoodBytes);
  if (!content && content.error().code == Errc::not_found) return LastGood{};
  if (!content)
    return fail(Diagnostic{path_, "cannot be read: " + describe(content.error()), kIgnored});
  auto last_good = decode_last_good(*content, machine_id_);
  if (!last_good) {
    last_good.error().path = path_;
    return last_good;
  }
  if (!keeps_secrets_) drop_secrets(*last_good);
  return last_good;
}

}  // namespace mooring::discovery
