// The hand-written part of the manual pages.
#pragma once

#include <span>
#include <string_view>

namespace mooring::cli {

struct ProseFile {
  std::string_view path;
  std::string_view meaning;
};

struct Prose {
  std::string_view page;
  std::string_view description;
  std::string_view signals;  // may be empty, as all below
  std::string_view example;
  std::span<const ProseFile> files;
};

/// Of a page that exists.
[[nodiscard]] const Prose& prose_of(std::string_view page);

}  // namespace mooring::cli
