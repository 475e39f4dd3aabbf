#include "core/toml_scan.h"

#include <algorithm>
#include <array>
#include <string>

namespace mooring {

namespace {

bool is_ascii(char c) noexcept {
  return static_cast<unsigned char>(c) < 0x80;
}

constexpr const char* kForeign =
    "a character outside of ASCII; it can stand in a comment or between quotes on one line";
constexpr const char* kHeadless = "the name of a table is missing behind \"[\"";
constexpr const char* kUnopened = "\"}\" closes nothing";

bool is_blank(char c) noexcept {
  return c == ' ' || c == '\t';
}

bool may_begin_header(char c) noexcept {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
         c == '-' || c == '"' || c == '\'' || c == ']';
}

class Scan {
 public:
  explicit Scan(std::string_view text) : text_(text) {
    while (at_ < text_.size()) {
      const char c = text_[at_];
      if (c == '#') {
        at_ = std::min(text_.find('\n', at_), text_.size());
      } else if (c == '"' || c == '\'') {
        is_line_start_ = false;
        skip_string(c);
      } else {
        if (c == '.') ++found_.dots;
        look(c);
        look_at_bracket(c);
        if (!is_blank(c)) is_line_start_ = c == '\n';
        ++at_;
      }
    }
  }

  [[nodiscard]] const TomlScan& found() const noexcept { return found_; }

 private:
  void note(const char* problem, std::size_t offset) noexcept {
    if (found_.problem != nullptr && found_.offset <= offset) return;
    found_.problem = problem;
    found_.offset = offset;
  }

  void look(char c) noexcept {
    if (!is_ascii(c)) note(kForeign, at_);
  }

  void look_at_bracket(char c) {
    switch (c) {
      case '[':
        if (is_line_start_ && open_.empty()) look_at_header();
        [[fallthrough]];
      case '{':
        open_.push_back(c);
        break;
      case '}':
        if (open_.empty() || open_.back() != '{') note(kUnopened, at_);
        [[fallthrough]];
      case ']':
        if (!open_.empty()) open_.pop_back();
        break;
      default:
        break;
    }
  }

  void look_at_header() noexcept {
    std::size_t next = after_blanks(at_ + 1);
    if (next < text_.size() && text_[next] == '[') next = after_blanks(next + 1);
    if (next < text_.size() && !may_begin_header(text_[next])) note(kHeadless, next);
  }

  [[nodiscard]] std::size_t after_blanks(std::size_t from) const noexcept {
    return std::min(text_.find_first_not_of(" \t", from), text_.size());
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
  std::string open_;  // brackets
  bool is_line_start_ = true;
  TomlScan found_;
};

}  // namespace

TomlScan scan_toml(std::string_view text) {
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
