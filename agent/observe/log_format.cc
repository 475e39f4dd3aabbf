#include "observe/log_format.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <ctime>

#include "observe/log_commands.h"

namespace mooring::observe {

std::string format_time(WallTime time) {
  const auto seconds = std::chrono::floor<std::chrono::seconds>(time);
  const auto millis = std::chrono::duration_cast<Milliseconds>(time - seconds).count();
  const std::time_t whole = std::chrono::system_clock::to_time_t(seconds);
  std::tm utc{};
  ::gmtime_r(&whole, &utc);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z",
                     utc.tm_year + 1900,
                     utc.tm_mon + 1,
                     utc.tm_mday,
                     utc.tm_hour,
                     utc.tm_min,
                     utc.tm_sec,
                     millis);
}

namespace {

/// One %...% of a template, taken apart.
struct Operator {
  std::string_view name;
  std::string_view argument;
  bool has_argument = false;
  std::size_t max_length = 0;
  std::size_t size = 0;  // with both percent signs
};

tl::unexpected<Diagnostic> bad_template(std::string message, std::string hint = "") {
  return fail(Diagnostic{"access log template", std::move(message), std::move(hint)});
}

/// `text` begins with '%'.
Checked<Operator> scan_operator(std::string_view text) {
  Operator out;
  std::size_t at = 1;
  const auto is_name = [](char c) {
    return (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
  };
  while (at < text.size() && is_name(text[at]))
    ++at;
  out.name = text.substr(1, at - 1);
  if (at < text.size() && text[at] == '(') {
    const std::size_t end = text.find(')', at);
    if (end == std::string_view::npos) {
      return bad_template(fmt::format("\"%{}(\" lacks its closing parenthesis", out.name));
    }
    out.argument = text.substr(at + 1, end - at - 1);
    out.has_argument = true;
    at = end + 1;
  }
  if (at < text.size() && text[at] == ':') {
    const char* begin = text.data() + at + 1;
    const auto [end, error] = std::from_chars(begin, text.data() + text.size(), out.max_length);
    if (error != std::errc() || out.max_length == 0) {
      return bad_template(fmt::format("\"%{}:\" needs a length above 0 after the colon", out.name));
    }
    at = static_cast<std::size_t>(end - text.data());
  }
  if (at >= text.size() || text[at] != '%' || out.name.empty()) {
    return bad_template(fmt::format("\"{}\" is no %COMMAND%", text.substr(0, 40)),
                        "a percent sign itself is written %%");
  }
  out.size = at + 1;
  return out;
}

Checked<const LogCommand*> resolve(const Operator& op) {
  const LogCommand* command = find_command(op.name);
  if (command == nullptr) {
    return bad_template(fmt::format("unknown command %{}%", op.name),
                        fmt::format("the nearest known one is %{}%", nearest_command(op.name)));
  }
  const bool wanted = command->argument != LogCommand::Argument::none;
  if (op.has_argument && !wanted) {
    return bad_template(fmt::format("%{}% takes no argument", op.name));
  }
  if (!op.has_argument && command->argument == LogCommand::Argument::required) {
    return bad_template(fmt::format("%{}% needs an argument: %{}(...)%", op.name, op.name));
  }
  return command;
}

}  // namespace

Checked<LogTemplate> LogTemplate::parse(std::string_view text) {
  if (text.size() > kMaxTemplateBytes) {
    return bad_template(fmt::format("longer than {} bytes", kMaxTemplateBytes));
  }
  LogTemplate out;
  std::string literal;
  while (!text.empty()) {
    if (text.starts_with("%%") || text[0] != '%') {
      literal += text[0];
      text.remove_prefix(text[0] == '%' ? 2 : 1);
      continue;
    }
    const Checked<Operator> op = scan_operator(text);
    if (!op) return tl::unexpected(op.error());
    const Checked<const LogCommand*> command = resolve(*op);
    if (!command) return tl::unexpected(command.error());
    if (!literal.empty()) out.parts_.push_back({std::exchange(literal, ""), nullptr, "", 0});
    out.parts_.push_back({"", *command, std::string(op->argument), op->max_length});
    text.remove_prefix(op->size);
  }
  if (!literal.empty()) out.parts_.push_back({std::move(literal), nullptr, "", 0});
  return out;
}

std::string LogTemplate::format(const AccessRecord& record, std::string_view absent) const {
  std::string line;
  for (const Part& part : parts_) {
    std::string value =
        part.command == nullptr ? part.literal : part.command->print({record, part.argument});
    if (value.empty()) value = absent;
    if (part.max_length != 0 && value.size() > part.max_length) value.resize(part.max_length);
    line += value;
    if (line.size() > kMaxLineBytes) break;
  }
  // A template may hold a line end of its own, at its end as Envoy's examples do; the log adds
  // exactly one.
  while (line.ends_with('\n'))
    line.pop_back();
  if (line.size() > kMaxLineBytes) line.resize(kMaxLineBytes);
  return line;
}

}  // namespace mooring::observe
