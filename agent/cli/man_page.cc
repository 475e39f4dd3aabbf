#include "cli/man_page.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "cli/man_prose.h"
#include "config/reference.h"
#include "config/schema.h"
#include "transparent-proxy/bounds.h"

namespace mooring::cli {

namespace {

constexpr std::size_t kLineWidth = 72;  // of the source; roff fills it anew

/// Text as roff shows it unchanged: hyphens that can be copied, no line that is taken for a
/// request.
std::string literal(std::string_view text) {
  std::string out;
  bool at_start = true;
  for (const char c : text) {
    if (at_start && (c == '.' || c == '\'')) out += "\\&";
    at_start = c == '\n';
    if (c == '-') {
      out += "\\-";
    } else if (c == '\\') {
      out += "\\e";
    } else {
      out += c;
    }
  }
  return out;
}

/// The same, in lines that an editor shows.
std::string plain(std::string_view text) {
  std::string broken(text);
  std::size_t line = 0;
  std::size_t space = std::string::npos;
  for (std::size_t at = 0; at < broken.size(); ++at) {
    if (broken[at] == ' ') space = at;
    if (at - line < kLineWidth || space == std::string::npos || space < line) continue;
    broken[space] = '\n';
    line = space + 1;
  }
  return literal(broken);
}
std::string bold(std::string_view text) {
  return fmt::format("\\fB{}\\fR", plain(text));
}
std::string italic(std::string_view text) {
  return fmt::format("\\fI{}\\fR", plain(text));
}

std::string head(std::string_view name,
                 std::string_view section,
                 std::string_view date,
                 std::string_view summary) {
  std::string title(name);
  std::transform(title.begin(), title.end(), title.begin(), [](char c) {
    return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
  });
  return fmt::format(".TH {} {} \"{}\" \"Mooring {}\" \"Mooring\"\n.ad l\n.SH NAME\n{} \\- {}\n",
                     plain(title),
                     section,
                     date,
                     MOORING_VERSION,
                     plain(name),
                     plain(summary));
}

std::string chapter(std::string_view title, std::string_view text) {
  return text.empty() ? std::string() : fmt::format(".SH {}\n{}\n", title, plain(text));
}

/// "\fB--count\fR \fIN\fR", or "\fILEVEL\fR" for an argument by position.
std::string synopsis_of(const ProgramOption& option) {
  std::string text;
  for (const std::string& name : option.names)
    text += (text.empty() ? "" : ", ") + bold(name);
  if (!option.value.empty()) text += (text.empty() ? "" : " ") + italic(option.value);
  return text;
}

std::string entry(const ProgramOption& option) {
  std::string help = option.help;
  if (!option.fallback.empty()) help += fmt::format(" (default: {})", option.fallback);
  return fmt::format(".TP\n{}\n{}.\n", synopsis_of(option), plain(help));
}

bool is_help(const ProgramOption& option) {
  return std::find(option.names.begin(), option.names.end(), "--help") != option.names.end();
}

std::string command_entry(const Program& program, const ProgramCommand& command) {
  std::string usage = bold(program.name + " " + command.path);
  std::string options;
  for (const ProgramOption& option : command.options) {
    if (is_help(option)) continue;
    const bool may_miss = !option.names.empty() || option.choices.empty();
    usage += (may_miss ? " [" : " ") + synopsis_of(option) + (may_miss ? "]" : "");
    options += entry(option);
  }
  std::string text = fmt::format(".TP\n{}\n{}.\n", usage, plain(command.help));
  if (!options.empty()) text += fmt::format(".RS\n{}.RE\n", options);
  return text;
}

std::string see_also(std::string_view own) {
  std::string text = ".SH SEE ALSO\n";
  constexpr std::array<std::array<std::string_view, 2>, 5> kPages{{{"mooring", "1"},
                                                                   {"agent.toml", "5"},
                                                                   {"capture.toml", "5"},
                                                                   {"mooring-net", "8"},
                                                                   {"mooringd", "8"}}};
  std::string list;
  for (const auto& [name, section] : kPages) {
    if (name != own)
      list += fmt::format("{}.BR {} ({})", list.empty() ? "" : " ,\n", plain(name), section);
  }
  return text + list + "\n";
}

}  // namespace

std::string program_page(const Program& program, std::string_view date) {
  const Prose& prose = prose_of(program.name);
  const ProgramCommand& self = program.commands.front();
  std::string text = head(program.name, program.section, date, program.summary);
  text += fmt::format(".SH SYNOPSIS\n.B {}\n[\\fIoptions\\fR]{}\n",
                      plain(program.name),
                      self.below.empty() ? "" : " \\fIcommand\\fR");
  text += chapter("DESCRIPTION", prose.description);
  text += ".SH OPTIONS\n";
  for (const ProgramOption& option : self.options)
    text += entry(option);
  if (!self.below.empty()) text += ".SH COMMANDS\n";
  for (const ProgramCommand& command : program.commands) {
    if (!command.path.empty() && command.below.empty()) text += command_entry(program, command);
  }
  text += chapter("EXIT STATUS", program.notes);
  text += chapter("SIGNALS", prose.signals);
  text += ".SH FILES\n";
  for (const ProseFile& file : prose.files)
    text += fmt::format(".TP\n{}\n{}.\n", italic(file.path), plain(file.meaning));
  return text + see_also(program.name);
}

std::string agent_toml_page(std::string_view date) {
  const Prose& prose = prose_of("agent.toml");
  std::string text = head("agent.toml", "5", date, "the configuration of the Mooring agent");
  text += chapter("DESCRIPTION", prose.description) + ".SH SECTIONS\n";
  for (const config::Section& section : config::sections()) {
    const std::string name =
        section.is_list ? fmt::format("[[{}]]", section.name) : fmt::format("[{}]", section.name);
    text += fmt::format(".SS {}\n{}\n", plain(name), plain(section.help));
    for (const config::Option& option : section.options) {
      std::string fallback = option.default_text();
      if (fallback.empty()) fallback = "none";
      const std::string need(config::need_text(option));
      text += fmt::format(".TP\n{}\n{}.\n.br\n{}\n",
                          bold(option.key),
                          plain(option.help),
                          plain(fmt::format("Value: {}{}; {}.",
                                            option.type_name(),
                                            config::range_text(option),
                                            need.empty() ? "default: " + fallback : need)));
    }
  }
  text += fmt::format(".SH EXAMPLE\n.nf\n{}.fi\n", literal(prose.example));
  return text + see_also("agent.toml");
}

std::string capture_toml_page(std::string_view date) {
  const Prose& prose = prose_of("capture.toml");
  std::string text = head("capture.toml", "5", date, "what the Mooring agent may capture");
  text += chapter("DESCRIPTION", prose.description) + ".SH KEYS\n";
  std::string_view table;
  for (const transparent_proxy::BoundsKey& key : transparent_proxy::bounds_keys()) {
    if (key.table != table) text += fmt::format(".SS [{}]\n", key.table);
    table = key.table;
    text += fmt::format(".TP\n{} = {}\n{}.\n", bold(key.name), italic(key.value), plain(key.help));
  }
  text += fmt::format(".SH EXAMPLE\n.nf\n{}.fi\n", literal(prose.example));
  return text + see_also("capture.toml");
}

}  // namespace mooring::cli
