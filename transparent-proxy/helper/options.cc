#include "transparent-proxy/helper/options.h"

#include <getopt.h>

#include <array>
#include <cstdio>
#include <vector>

#include <fmt/format.h>

namespace mooring::transparent_proxy {

namespace {

constexpr std::array kRows{
    OptionRow{"socket", "PATH", "where mooringd and mooring connect", &Options::socket, nullptr},
    OptionRow{"config", "FILE", "what the agent may capture", &Options::config, nullptr},
    OptionRow{"agent-user", "NAME", "the user mooringd runs as", &Options::agent_user, nullptr},
    OptionRow{"agent-uid", "UID", "the same as --agent-user", &Options::agent_user, nullptr},
    OptionRow{"state-dir", "DIR", "remembers what is captured", &Options::state_dir, nullptr},
    OptionRow{
        "user", "NAME", "change to this user; keeps CAP_NET_ADMIN only", &Options::user, nullptr},
    OptionRow{"backend",
              "NAME",
              "nft-inet, nft-split, iptables-nft or iptables-legacy; else the first that works",
              &Options::backend,
              nullptr},
    OptionRow{"log-level", "LEVEL", "debug, info, warn or error", &Options::log_level, nullptr},
    OptionRow{"plain",
              "",
              "run the nft program; rules are not owned, changes by others are repaired",
              nullptr,
              &Options::is_plain},
    OptionRow{"no-tproxy",
              "",
              "capture services by redirect, past the host's firewall rules for their ports",
              nullptr,
              &Options::without_tproxy},
    OptionRow{
        "probe", "", "say which backends work here, and end", nullptr, &Options::wants_probe_only},
    OptionRow{"help", "", "print this and end", nullptr, nullptr},
    OptionRow{"version", "", "print the version and end", nullptr, nullptr},
};
// getopt's values: the rows follow from here.
constexpr int kFirstRow = 256;

std::vector<option> known_options() {
  std::vector<option> known;
  known.reserve(kRows.size() + 1);
  int value = kFirstRow;
  for (const OptionRow& row : kRows) {
    const bool has_value = *row.value != '\0';
    known.push_back({row.name, has_value ? required_argument : no_argument, nullptr, value++});
  }
  known.push_back({nullptr, 0, nullptr, 0});
  return known;
}

void print_help() {
  std::string text = "mooring-net: programs the capture of connections for mooringd\n\n";
  for (const OptionRow& row : kRows) {
    text += fmt::format("  {:<20}  {}", fmt::format("--{} {}", row.name, row.value), row.help);
    if (const std::string value = row.default_text(); !value.empty())
      text += fmt::format(" ({})", value);
    text += '\n';
  }
  text += fmt::format("\n{}\n", kUsageNotes);
  std::fputs(text.c_str(), stdout);
}

}  // namespace

std::string OptionRow::default_text() const {
  return text == nullptr ? std::string() : Options{}.*text;
}

std::span<const OptionRow> option_rows() noexcept {
  return kRows;
}

std::optional<int> parse_options(int argc, char** argv, Options& options) {
  const std::vector<option> known = known_options();
  for (;;) {
    // NOLINTNEXTLINE(concurrency-mt-unsafe): before any thread
    const int got = ::getopt_long(argc, argv, "h", known.data(), nullptr);
    if (got == -1) break;
    if (got == 'h') {
      print_help();
      return 0;
    }
    if (got < kFirstRow) return kExitConfig;
    const OptionRow& row = kRows[static_cast<std::size_t>(got - kFirstRow)];
    if (row.text != nullptr) {
      options.*row.text = optarg;
    } else if (row.flag != nullptr) {
      options.*row.flag = true;
    } else if (std::string_view(row.name) == "help") {
      print_help();
      return 0;
    } else {
      std::puts("mooring-net " MOORING_VERSION);
      return 0;
    }
  }
  if (optind == argc) return std::nullopt;
  std::fprintf(stderr, "mooring-net: unexpected argument %s\n", argv[optind]);
  return kExitConfig;
}

}  // namespace mooring::transparent_proxy
