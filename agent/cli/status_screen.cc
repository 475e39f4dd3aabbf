#include <array>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include "cli/json_view.h"
#include "cli/screens.h"
#include "cli/text_table.h"

namespace mooring::cli {

namespace {

using Json = nlohmann::json;

constexpr std::int64_t kSoonSeconds =
    3600;  // an SVID of a day is renewed half-way; an hour left means it was not

class StatusScreen {
 public:
  StatusScreen(const Json& status, bool has_colour) : status_(status), has_colour_(has_colour) {}

  std::string render() {
    header();
    control_plane();
    identity();
    capture();
    configuration();
    services();
    upstreams();
    problems();
    return std::move(text_);
  }

 private:
  static Tone tone_of(std::string_view state) {
    constexpr std::array<std::pair<std::string_view, Tone>, 15> kTones{
        {{"ready", Tone::good},
         {"live", Tone::good},
         {"waiting", Tone::bad},
         {"active", Tone::good},
         {"healthy", Tone::good},
         {"not_captured", Tone::warning},
         {"unresolved", Tone::warning},
         {"draining", Tone::warning},
         {"degraded", Tone::warning},
         {"ejected", Tone::bad},
         {"unhealthy", Tone::bad},
         {"no_identity", Tone::bad},
         {"failed", Tone::bad},
         {"agent_dead", Tone::bad},
         {"gave_up", Tone::bad}}};
    for (const auto& [name, tone] : kTones) {
      if (name == state) return tone;
    }
    return Tone::plain;
  }

  static Cell state_cell(const std::string& state) {
    std::string words = state;
    for (char& c : words) {
      if (c == '_') c = ' ';
    }
    return {std::move(words), tone_of(state)};
  }

  static Cell count_cell(const Json& object, std::string_view key, Tone tone_if_any = Tone::plain) {
    const std::int64_t count = number_of(object, key);
    return {std::to_string(count), count > 0 ? tone_if_any : Tone::plain};
  }

  std::string paint(std::string_view text, Tone tone) const {
    return cli::paint(text, tone, has_colour_);
  }

  void field(std::string_view name, std::string_view value) {
    text_ += fmt::format("{:<11} {}\n", name, value);
  }

  void title(std::string_view name) { text_ += fmt::format("\n{}\n", paint(name, Tone::heading)); }

  void header() {
    const Json& host = member(status_, "host");
    const bool is_ready = member(status_, "ready") == true;
    const bool is_replaced = member(host, "replaced") == true;
    text_ +=
        fmt::format("{}: {}   mooring {}{}, up {}, pid {}, {}, {}\n\n",
                    paint(text_of(host, "name"), Tone::heading),
                    is_ready ? paint("ready", Tone::good) : paint("not ready", Tone::bad),
                    text_of(host, "version"),
                    is_replaced ? paint(" (installed: " MOORING_VERSION ")", Tone::warning) : "",
                    show_span(number_of(host, "uptime_s")),
                    number_of(host, "pid"),
                    counted(number_of(host, "workers"), "worker"),
                    counted(number_of(host, "connections"), "open connection"));
  }

  void control_plane() {
    const Json& plane = member(status_, "control_plane");
    if (!plane.is_object()) return;
    const Cell state = state_cell(text_of(plane, "state"));
    field("Control",
          fmt::format("{} for {}: {}, mesh {}, dataplane {}",
                      paint(state.text, state.tone),
                      show_span(number_of(plane, "since_s")),
                      text_of(plane, "address"),
                      text_of(plane, "mesh"),
                      text_of(plane, "dataplane")));
    std::string served;
    std::int64_t rejections = 0;
    for (const Json& count : member(plane, "resources")) {
      std::string noun = text_of(count, "type");
      if (noun.ends_with('s')) noun.pop_back();
      served += (served.empty() ? "" : ", ") + counted(number_of(count, "served"), noun);
      rejections += number_of(count, "rejected");
    }
    const bool is_old = member(plane, "from_disk") == true;
    if (!served.empty()) {
      field(
          "",
          fmt::format("{}, {} {} ago{}",
                      served,
                      is_old ? "kept from" : "received",
                      show_span(number_of(plane, "received_s")),
                      rejections == 0 ? "" : fmt::format("; {} rejected since start", rejections)));
    }
    if (const std::string error = text_of(plane, "last_error"); !error.empty()) {
      const std::string remedy = text_of(plane, "remedy");
      const bool is_past = text_of(plane, "state") == "live";
      field("",
            paint(fmt::format("{}{}{}",
                              is_past ? "before: " : "",
                              error,
                              remedy.empty() ? "" : " (" + remedy + ")"),
                  is_past ? Tone::faint : Tone::bad));
    }
  }

  void identity() {
    const Json& identity = member(status_, "identity");
    if (!identity.is_object()) {
      field("Identity", paint("none yet", Tone::bad));
      return;
    }
    field("Identity", text_of(identity, "spiffe_id"));
    const std::int64_t left = number_of(identity, "expires_in_s");
    const std::string expiry = left < 0 ? fmt::format("EXPIRED {} ago", show_span(-left))
                                        : fmt::format("expires in {}", show_span(left));
    const Tone tone = left < 0 ? Tone::bad : left < kSoonSeconds ? Tone::warning : Tone::plain;
    field("",
          fmt::format("{} ({}), issued by {}",
                      paint(expiry, tone),
                      text_of(identity, "not_after"),
                      text_of(identity, "issuer")));
    const std::string key = text_of(identity, "key");
    const std::string renewal = text_of(identity, "renews_at");
    if (key.empty()) {
      field("", "from " + text_of(identity, "source"));
    } else {
      field("",
            fmt::format("key made by the {}{}",
                        key,
                        renewal.empty() ? "" : ", next certificate at " + renewal));
    }
  }

  void capture() {
    const Json& capture = member(status_, "capture");
    const Cell state = state_cell(text_of(capture, "state"));
    const std::string backend = text_of(capture, "backend");
    field("Capture",
          fmt::format("{}{}: {}, {}",
                      paint(state.text, state.tone),
                      backend.empty() ? "" : fmt::format(" ({})", backend),
                      counted(number_of(capture, "outbound"), "upstream"),
                      counted(number_of(capture, "inbound"), "service")));
    const Json& fate = member(capture, "on_agent_death");
    field("",
          fmt::format(
              "when the agent is gone: outbound {}, permissive services {}, strict services {}",
              text_of(fate, "outbound"),
              text_of(fate, "permissive"),
              text_of(fate, "strict")));
    if (const std::string problem = text_of(capture, "problem"); !problem.empty()) {
      field("", paint(problem, Tone::bad));
    }
  }

  void configuration() {
    const Json& config = member(status_, "config");
    field("Config",
          fmt::format("{}, generation {}, loaded {}",
                      text_of(config, "path"),
                      number_of(config, "generation"),
                      text_of(config, "loaded_at")));
    const Json& error = member(config, "last_error");
    if (!error.is_string() || error.get_ref<const std::string&>().empty()) return;
    field("", paint("a newer file was refused, this one runs on:", Tone::bad));
    std::string_view rest = error.get_ref<const std::string&>();
    while (!rest.empty()) {
      const std::size_t end = rest.find('\n');
      field("", "  " + printable(rest.substr(0, end)));
      rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
    }
  }

  void services() {
    title("Services on this host");
    TextTable table({{"NAME"},
                     {"PORT", true},
                     {"MODE"},
                     {"TARGET"},
                     {"STATE"},
                     {"OPEN", true},
                     {"ACCEPTED", true},
                     {"DENIED", true},
                     {"SHADOW-DENIED", true},
                     {"FAILED", true}});
    for (const Json& service : member(status_, "services")) {
      table.add({{text_of(service, "name")},
                 {text_of(service, "port")},
                 {text_of(service, "mode")},
                 {text_of(service, "target")},
                 state_cell(text_of(service, "state")),
                 count_cell(service, "connections"),
                 count_cell(service, "accepted"),
                 count_cell(service, "denied", Tone::warning),
                 count_cell(service, "shadow_denied", Tone::warning),
                 count_cell(service, "failed", Tone::warning)});
    }
    text_ += table.empty() ? "  none\n" : table.render(has_colour_);
  }

  static std::string dialled(const Json& upstream) {
    std::string text;
    for (const Json& address : member(upstream, "addresses")) {
      if (address.is_string())
        text += (text.empty() ? "" : ",") + printable(address.get_ref<const std::string&>());
    }
    std::string ports;
    for (const Json& port : member(upstream, "ports"))
      ports += (ports.empty() ? "" : ",") + port.dump();
    return fmt::format("{} port {}", text, ports);
  }

  void upstreams() {
    title("Upstreams");
    TextTable table({{"NAME"},
                     {"DIALLED"},
                     {"ENDPOINT"},
                     {"STATE"},
                     {"OPEN", true},
                     {"OPENED", true},
                     {"FAILURES", true}});
    for (const Json& upstream : member(status_, "upstreams")) {
      const Json& endpoints = member(upstream, "endpoints");
      const std::size_t count = endpoints.is_array() ? endpoints.size() : 0;
      // One endpoint shares the upstream's line; several have a line each.
      const Json& only = count == 1 ? endpoints.front() : Json();
      table.add({{text_of(upstream, "name")},
                 {dialled(upstream)},
                 {count == 0 ? "as dialled" : text_of(only, "address")},
                 state_cell(text_of(only, "state")),
                 count_cell(upstream, "connections"),
                 count_cell(upstream, "opened"),
                 count_cell(upstream, "failures", Tone::warning)});
      if (count < 2) continue;
      for (const Json& endpoint : endpoints) {
        table.add({{},
                   {},
                   {text_of(endpoint, "address")},
                   state_cell(text_of(endpoint, "state")),
                   count_cell(endpoint, "connections"),
                   {},
                   {}});
      }
    }
    text_ += table.empty() ? "  none\n" : table.render(has_colour_);
  }

  void problems() {
    title("Problems");
    bool is_empty = true;
    for (const Json& problem : member(status_, "problems")) {
      const std::string severity = text_of(problem, "severity");
      text_ += fmt::format("  {} {}\n",
                           paint(severity + ":", severity == "error" ? Tone::bad : Tone::warning),
                           text_of(problem, "text"));
      is_empty = false;
    }
    if (is_empty) text_ += "  none\n";
  }

  const Json& status_;
  bool has_colour_;
  std::string text_;
};

}  // namespace

std::string render_status(const Json& status, bool has_colour) {
  return StatusScreen(status, has_colour).render();
}

}  // namespace mooring::cli
