#include "core/toml_scan.h"

#include <algorithm>
#include <array>

namespace mooring {

namespace {

bool is_ascii(char c) noexcept {
  return static_cast<unsigned char>(c) < 0x80;
}

class Scan {
 public:
  explicit Scan(std::string_view text) noexcept : text_(text) {
    while (at_ < text_.size()) {
      const char c = text_[at_];
      if (c == '#') {
        at_ = std::min(text_.find('\n', at_), text_.size());
      } else if (c == '"' || c == '\'') {
        skip_string(c);
      } else {
        if (c == '.') ++found_.dots;
        look(c);
        ++at_;
      }
    }
  }

  [[nodiscard]] const TomlScan& found() const noexcept { return found_; }

 private:
  void look(char c) noexcept {
    if (!is_ascii(c)) found_.foreign = std::min(found_.foreign, at_);
  }

  void skip_string(char quote) noexcept {
    const std::array<char, 3> three{quote, quote, quote};
    const std::string_view delimiter(three.data(), three.size());
    if (text_.substr(at_, 3) != delimiter) {
      for (++at_; at_ < text_.size() && text_[at_] != quote && text_[at_] != '\n'; ++at_) {
        if (quote == '"' && text_[at_] == '\\') ++at_;
      }
      ++at_;
      return;
    }
    for (at_ += 3; at_ < text_.size() && text_.substr(at_, 3) != delimiter; ++at_) {
      if (quote == '"' && text_[at_] == '\\') ++at_;
      if (at_ < text_.size()) look(text_[at_]);
    }
    // The string may end with two quotes of its own before the delimiter.
    while (at_ < text_.size() && text_[at_] == quote)
      ++at_;
  }

  std::string_view text_;
  std::size_t at_ = 0;
  TomlScan found_;
};

}  // namespace

TomlScan scan_toml(std::string_view text) noexcept {
  return Scan(text).found();
}

TextPlace text_place(std::string_view text, std::size_t offset) noexcept {
  TextPlace place;
  for (const char c : text.substr(0, std::min(offset, text.size()))) {
    if (c == '\n') {
      ++place.line;
      place.column = 1;
    } else if (is_ascii(c) || (static_cast<unsigned char>(c) & 0xc0) == 0xc0) {
      ++place.column;
    }
  }
  return place;
}

}  // namespace mooring
