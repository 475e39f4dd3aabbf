#include "observe/log_sinks.h"

#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <filesystem>
#include <utility>

#include <nlohmann/json.hpp>

#include "core/log.h"

namespace mooring::observe {

namespace {

// Formats that are kept taken apart; a control plane names a few for all of its chains.
constexpr std::size_t kMaxParsed = 256;
constexpr Milliseconds kFirstPatience{500};
constexpr Milliseconds kLastPatience{30000};
constexpr Milliseconds kLookEvery{100};  // whether the address is there
constexpr std::size_t kMaxHost = 253;

// Envoy's default (configuration/observability/access_log/usage).
constexpr std::string_view kEnvoyFormat =
    "[%START_TIME%] \"%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%\" "
    "%RESPONSE_CODE% %RESPONSE_FLAGS% %BYTES_RECEIVED% %BYTES_SENT% %DURATION% "
    "%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% \"%REQ(X-FORWARDED-FOR)%\" \"%REQ(USER-AGENT)%\" "
    "\"%REQ(X-REQUEST-ID)%\" \"%REQ(:AUTHORITY)%\" \"%UPSTREAM_HOST%\"";

MonoTime now() {
  return std::chrono::steady_clock::now();
}

std::string_view file_name(std::string_view path) {
  return path.substr(path.rfind('/') + 1);
}

/// Kuma's TCP backend: {"address": "host:port", "message": ...} on the FIFO of the data-plane
/// proxy beside Envoy, which sends the messages on.
std::optional<nlohmann::json> tcp_backend(const LogSink& sink) {
  const std::string_view file = file_name(sink.path);
  if (!file.starts_with("kuma-al-") || !file.ends_with(".sock")) return std::nullopt;
  auto json = nlohmann::json::parse(sink.json_format, nullptr, false);
  const bool is_one = json.is_object() && json.size() == 2 && json.contains("message") &&
                      json.contains("address") && json["address"].is_string();
  return is_one ? std::optional(std::move(json)) : std::nullopt;
}

/// What is no host and port is nowhere to be found: the connection's policy does not depend on it.
void take_address(std::string_view text, ParsedSink& out) {
  const std::size_t colon = std::min(text.rfind(':'), text.size());
  std::string_view host = text.substr(0, std::min(colon, kMaxHost));
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  if (std::all_of(host.begin(), host.end(), [](char c) { return c > ' ' && c < 0x7f; }))
    out.host = host;
  out.port = parse_port(text.substr(std::min(colon + 1, text.size()))).value_or(0);
}

Checked<void> parse_lines(const LogSink& sink, ParsedSink& out) {
  if (!sink.json_format.empty()) {
    auto json = JsonTemplate::parse(sink.json_format);
    if (!json) return mooring::fail(json.error());
    out.lines = std::move(*json);
    return {};
  }
  auto text = LogTemplate::parse(sink.text_format.empty() ? kEnvoyFormat
                                                          : std::string_view(sink.text_format));
  if (!text) return mooring::fail(text.error());
  out.lines = std::move(*text);
  return {};
}

/// What has ended the connection, as an errno: EPIPE where the other end closed it in order, 0
/// where nothing has. The other end sends nothing; what can be read is its end. Reading takes the
/// socket's error, so it must be kept.
int end_of(int fd) {
  char byte = 0;
  const ssize_t count = ::recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
  if (count >= 0) return count == 0 ? EPIPE : 0;
  return errno == EAGAIN || errno == EINTR ? 0 : errno;
}

}  // namespace

Checked<ParsedSink> ParsedSink::parse(const LogSink& sink) {
  ParsedSink out;
  out.path = sink.path;
  out.omits_empty = sink.omits_empty;
  LogSink lines = sink;
  if (const auto backend = tcp_backend(sink)) {
    out.path.clear();
    take_address((*backend)["address"].get_ref<const std::string&>(), out);
    const nlohmann::json& message = (*backend)["message"];
    lines.json_format = message.is_string() ? "" : message.dump();
    lines.text_format = message.is_string() ? message.get<std::string>() : "";
  }
  if (const auto parsed = parse_lines(lines, out); !parsed) return mooring::fail(parsed.error());
  return out;
}

std::string ParsedSink::format(const AccessRecord& record) const {
  if (const auto* json = std::get_if<JsonTemplate>(&lines))
    return json->format(record, omits_empty);
  const auto* text = std::get_if<LogTemplate>(&lines);
  return text == nullptr ? "" : text->format(record, omits_empty ? "" : "-");
}

std::string ParsedSink::name() const {
  if (!is_tcp()) return path;
  const bool is_v6 = host.find(':') != std::string::npos;
  return (is_v6 ? "tcp:[" + host + "]:" : "tcp:" + host + ":") + std::to_string(port);
}

Checked<void> check_sink(const LogSink& sink) {
  const auto parsed = ParsedSink::parse(sink);
  if (!parsed) return fail(parsed.error());
  return {};
}

void LogSinks::add(const AccessRecord& record) {
  for (const LogSink& sink : record.sinks) {
    if (const ParsedSink* known = parsed(sink)) add_line(*known, record);
  }
}

const ParsedSink* LogSinks::parsed(const LogSink& sink) {
  auto found = parsed_.find(sink);
  if (found == parsed_.end()) {
    if (parsed_.size() >= kMaxParsed) parsed_.clear();
    auto fresh = ParsedSink::parse(sink);
    found = parsed_.emplace(sink, fresh ? std::optional(std::move(*fresh)) : std::nullopt).first;
  }
  if (const auto& known = found->second; known) return &known.value();
  dropped_.fetch_add(1, std::memory_order_relaxed);
  return nullptr;
}

LogSinks::Output* LogSinks::output_of(const ParsedSink& sink) {
  std::string name = sink.name();
  const auto found = outputs_.find(name);
  if (found != outputs_.end()) return found->second.get();
  if (outputs_.size() >= AccessLog::kSinks) {
    const auto unused = std::find_if(outputs_.begin(), outputs_.end(), [](const auto& each) {
      return each.second->lines.is_empty();
    });
    if (unused == outputs_.end()) return nullptr;
    report(*unused->second, "");
    outputs_.erase(unused);
  }
  return outputs_.emplace(std::move(name), std::make_unique<Output>(sink, pending_bytes_))
      .first->second.get();
}

void LogSinks::add_line(const ParsedSink& sink, const AccessRecord& record) {
  Output* output = output_of(sink);
  if (output != nullptr && output->lines.is_full()) flush(*output);
  if (output == nullptr || output->lines.is_full()) {
    dropped_.fetch_add(1, std::memory_order_relaxed);
    return;
  }
  output->lines.add(sink.format(record));
}

void LogSinks::reopen() {
  for (auto each = outputs_.begin(); each != outputs_.end();) {
    Output& output = *each->second;
    if (output.lines.is_empty()) {
      report(output, "");
      each = outputs_.erase(each);
      continue;
    }
    if (!output.where.is_tcp()) output.lines.close();
    output.retry_at = {};
    ++each;
  }
}

void LogSinks::flush() {
  for (const auto& [name, output] : outputs_)
    flush(*output);
}

void LogSinks::flush(Output& output) {
  if (output.lines.is_empty()) return;
  if (output.lines.is_open() && output.where.is_tcp()) {
    const int end = end_of(output.lines.fd());
    if (end != 0) output.lines.close();
    if (end != 0 && end != EPIPE)
      return fail(output, describe(error_from_errno(end, "connect access log")));
  }
  if (!output.lines.is_open()) {
    if (now() < output.retry_at) return;
    const Result<bool> opened = open(output);
    if (!opened) return fail(output, describe(opened.error()));
    if (!*opened) {
      output.retry_at = now() + kLookEvery;
      return;
    }
  }
  const std::uint64_t before = output.lines.written();
  output.state = output.lines.flush();
  const std::uint64_t done = output.lines.written() - before;
  written_.fetch_add(done, std::memory_order_relaxed);
  if (output.state == LineOutput::State::failed) {
    output.lines.close();
    return fail(output, describe(error_from_errno(output.lines.last_error(), "write access log")));
  }
  if (done == 0) return;
  output.patience = Milliseconds(0);
  report(output, "");
}

Result<bool> LogSinks::open(Output& output) {
  if (output.where.is_tcp()) return connect(output);
  if (is_own(output.where.path)) return mooring::fail(Errc::permission, "access log");
  return output.lines.open_foreign(output.where.path).map([] { return true; });
}

Result<bool> LogSinks::connect(Output& output) {
  const ParsedSink& where = output.where;
  if (where.host.empty() || where.port == 0) return mooring::fail(Errc::bad_input, "host and port");
  std::optional<IpAddress> address;
  if (const auto ip = parse_ip(where.host)) {
    address = *ip;
  } else {
    take_answers();
    const auto answer = answers_.find(where.host);
    if (answer == answers_.end()) {
      auto name = std::make_unique<std::string>(where.host);
      if (!output.awaits_address) output.awaits_address = wanted_hosts_.push(name);
      return false;
    }
    address = answer->second;
    answers_.erase(answer);  // the next connection asks anew
    output.awaits_address = false;
  }
  if (!address) return mooring::fail(Errc::not_found, "look up host");
  return output.lines.connect({*address, where.port}).map([] { return true; });
}

void LogSinks::take_answers() {
  while (const auto host = told_hosts_.pop())
    answers_[(*host)->name] = (*host)->address;
}

/// What the agent itself reads, and what is no file at all.
bool LogSinks::is_own(const std::string& path) const {
  namespace fs = std::filesystem;
  if (path == "/dev/stdout" || path == "/dev/stderr") return false;
  std::error_code error;
  const fs::path folder = fs::canonical(fs::path(path).parent_path(), error);
  if (error) return false;  // opening it says what is wrong
  const std::string text = (folder / fs::path(path).filename()).string();
  const auto is_below = [&text](const std::string& own) {
    return text.starts_with(own.ends_with('/') ? own : own + "/");
  };
  return path.front() != '/' || is_below("/proc") || is_below("/sys") ||
         std::any_of(own_folders_.begin(), own_folders_.end(), is_below);
}

void LogSinks::fail(Output& output, std::string text) {
  failures_.fetch_add(1, std::memory_order_relaxed);
  output.state = LineOutput::State::failed;
  output.patience = std::clamp(2 * output.patience, kFirstPatience, kLastPatience);
  output.retry_at = now() + output.patience;
  report(output, std::move(text));
}

void LogSinks::report(Output& output, std::string text) {
  if (text == output.problem) return;
  if (!text.empty()) {
    log::warn("lines of the access log wait: sink={} error=\"{}\"", output.where.name(), text);
  }
  output.problem = text;
  auto note = std::make_unique<SinkProblem>(SinkProblem{output.where.name(), std::move(text)});
  while (!reports_.push(note))
    (void)reports_.pop();
}

bool LogSinks::is_idle() const noexcept {
  return std::all_of(outputs_.begin(), outputs_.end(), [](const auto& each) {
    return each.second->lines.is_empty() || !each.second->lines.is_open();
  });
}

void LogSinks::add_blocked(std::vector<pollfd>& events) const {
  for (const auto& [name, output] : outputs_) {
    if (output->state == LineOutput::State::blocked && output->lines.is_open())
      events.push_back({output->lines.fd(), POLLOUT, 0});
  }
}

std::optional<Milliseconds> LogSinks::retry_in() const {
  std::optional<Milliseconds> soonest;
  for (const auto& [name, output] : outputs_) {
    if (output->lines.is_empty() || output->lines.is_open()) continue;
    const auto rest = std::chrono::ceil<Milliseconds>(output->retry_at - now());
    soonest = std::min(soonest.value_or(kLastPatience), std::max(rest, Milliseconds(0)));
  }
  return soonest;
}

std::optional<std::string> LogSinks::next_wanted_host() {
  auto name = wanted_hosts_.pop();
  return name ? std::optional(std::move(**name)) : std::nullopt;
}

void LogSinks::tell(SinkHost host) {
  auto note = std::make_unique<SinkHost>(std::move(host));
  while (!told_hosts_.push(note))
    (void)told_hosts_.pop();
}

std::vector<SinkProblem> LogSinks::problems() {
  while (auto note = reports_.pop()) {
    if ((*note)->text.empty()) {
      problems_.erase((*note)->sink);
    } else {
      problems_[(*note)->sink] = (*note)->text;
    }
  }
  std::vector<SinkProblem> list;
  list.reserve(problems_.size());
  for (const auto& [sink, text] : problems_)
    list.push_back({sink, text});
  return list;
}

}  // namespace mooring::observe
