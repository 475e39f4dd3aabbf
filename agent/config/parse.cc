#include <algorithm>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "config/load.h"
#include "config/nearest.h"
#include "config/problems.h"
#include "config/schema.h"
#include "config/tree.h"
#include "config/validate.h"

namespace mooring::config {

namespace {

/// One parse(): walks the documents along the schema's table.
class Walk {
 public:
  Walk(AgentConfig& config, Places& places, Problems& problems)
      : config_(config), places_(places), problems_(problems) {}

  void document(const Value& root) {
    for (const Member& member : root.members) {
      if (const Section* section = find_section(member.key)) {
        enter(*section, member);
      } else {
        unknown_section(member);
      }
    }
  }

  /// After all documents: a required key may be in any of them.
  void check_required() {
    for (const Section& section : sections()) {
      // [host] is needed even where nobody wrote it.
      const std::size_t count = section.is_list ? lists_[section.name] : 1;
      for (std::size_t index = 0; index < count; ++index) {
        const bool is_written =
            places_.find(section.name, index, "") != nullptr || section.name == "host";
        if (is_written) check_required(section, index);
      }
    }
  }

 private:
  static std::string header(const Section& section) {
    return section.is_list ? fmt::format("[[{}]]", section.name)
                           : fmt::format("[{}]", section.name);
  }

  void enter(const Section& section, const Member& member) {
    const bool is_one = member.value.kind == Value::Kind::table;
    if (!section.is_list && is_one) return read(section, 0, member.value);
    if (!section.is_list || member.value.kind != Value::Kind::list) {
      problems_.add(member.place,
                    fmt::format("{} is not written as {}", member.key, header(section)),
                    fmt::format("write {}", header(section)));
      return;
    }
    for (const Value& item : member.value.items) {
      if (item.kind == Value::Kind::table) {
        read(section, lists_[section.name]++, item);
      } else {
        problems_.add(item.place,
                      fmt::format("{} is a list of tables", member.key),
                      fmt::format("write {}", header(section)));
      }
    }
  }

  void read(const Section& section, std::size_t index, const Value& table) {
    places_.set(section.name, index, "", table.place);
    void* owner = section.open(config_);
    for (const Member& member : table.members) {
      const Option* option = find_option(section, member.key);
      const Section* inner = find_section(fmt::format("{}.{}", section.name, member.key));
      if (inner) {
        enter(*inner, member);
      } else if (!option && !section.read_any) {
        unknown_key(section, member);
      } else if (is_first(section, index, member)) {
        if (option) {
          option->read(member.value, *option, problems_, owner);
        } else {
          section.read_any(member, problems_, owner);
        }
      }
    }
  }

  /// TOML itself refuses a key twice in one file; this is about two files.
  bool is_first(const Section& section, std::size_t index, const Member& member) {
    const Place* before = places_.find(section.name, index, member.key);
    if (before) {
      problems_.add(member.place,
                    fmt::format("{} in {} is set twice", member.key, header(section)),
                    fmt::format("the other one is at {}", problems_.where(*before)));
      return false;
    }
    places_.set(section.name, index, member.key, member.place);
    return true;
  }

  void unknown_section(const Member& member) {
    std::vector<std::string_view> known;
    for (const Section& section : sections()) {
      if (section.name.find('.') == std::string_view::npos) known.push_back(section.name);
    }
    std::string hint;
    if (const std::string_view near = nearest(member.key, known); !near.empty()) {
      hint = fmt::format("did you mean {}?", header(*find_section(near)));
    } else if (const Section* home = home_of(member.key)) {
      hint = fmt::format("{} belongs to {}", member.key, header(*home));
    } else {
      hint = fmt::format("known: {}", fmt::join(known, ", "));
    }
    problems_.add(
        member.place, fmt::format("unknown section {}", quote(member.key)), std::move(hint));
  }

  void unknown_key(const Section& section, const Member& member) {
    std::vector<std::string_view> known;
    for (const Option& option : section.options)
      known.push_back(option.key);
    const std::string inner = fmt::format("{}.", section.name);
    for (const Section& other : sections()) {
      if (other.name.starts_with(inner)) known.push_back(other.name.substr(inner.size()));
    }
    std::string hint;
    if (const std::string_view near = nearest(member.key, known); !near.empty()) {
      hint = fmt::format("did you mean {}?", quote(near));
    } else if (const Section* home = home_of(member.key)) {
      hint = fmt::format("{} belongs to {}", member.key, header(*home));
    } else {
      hint = fmt::format("known here: {}", fmt::join(known, ", "));
    }
    problems_.add(member.place,
                  fmt::format("unknown key {} in {}", quote(member.key), header(section)),
                  std::move(hint));
  }

  /// The one section that has a key of this name, if there is exactly one.
  static const Section* home_of(std::string_view key) {
    const Section* home = nullptr;
    for (const Section& section : sections()) {
      if (!find_option(section, key)) continue;
      if (home) return nullptr;
      home = &section;
    }
    return home;
  }

  [[nodiscard]] bool is_needed(Presence presence) const {
    switch (presence) {
      case Presence::optional:
        return false;
      case Presence::required:
        return true;
      case Presence::required_alone:
        return !config_.control_plane;
      case Presence::required_without_bootstrap:
        return places_.find("control_plane", 0, "bootstrap") == nullptr;
    }
    return false;
  }

  void check_required(const Section& section, std::size_t index) {
    for (const Option& option : section.options) {
      if (!is_needed(option.presence) || places_.find(section.name, index, option.key)) continue;
      problems_.add(places_.near(section.name, index, ""),
                    fmt::format("{} lacks {}", header(section), option.key),
                    fmt::format("{}: {}", option.key, option.help));
    }
  }

  AgentConfig& config_;
  Places& places_;
  Problems& problems_;
  std::map<std::string_view, std::size_t> lists_;  // elements so far of each list section
};

std::vector<std::string> names_of(const std::vector<SourceText>& sources) {
  std::vector<std::string> names;
  names.reserve(sources.size());
  for (const SourceText& source : sources)
    names.push_back(source.path);
  if (names.empty()) names.emplace_back("configuration");
  return names;
}

}  // namespace

tl::expected<AgentConfig, std::vector<Diagnostic>> parse(const std::vector<SourceText>& sources) {
  AgentConfig config;
  Problems problems(names_of(sources));
  Places places;
  Walk walk(config, places, problems);
  bool all_read = true;
  for (std::uint32_t index = 0; index < sources.size(); ++index) {
    if (const auto root = read_toml(sources[index].text, index)) {
      walk.document(*root);
    } else {
      problems.add(root.error().place, root.error().message);
      all_read = false;
    }
  }
  // What is missing or contradicts itself cannot be told from half of the text.
  if (all_read) {
    walk.check_required();
    validate(config, places, problems);
  }
  if (problems.empty()) return config;
  return tl::unexpected(std::move(problems).take());
}

}  // namespace mooring::config
