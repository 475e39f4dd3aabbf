#include "transparent-proxy/helper/options.h"

#include <getopt.h>

#include <array>
#include <cstdio>
#include <vector>

namespace mooring::transparent_proxy {

namespace {

constexpr const char* kHelp =
    "mooring-net: programs the capture of connections for mooringd\n"
    "\n"
    "  --socket PATH         where mooringd and mooring connect (/run/mooring/net.sock)\n"
    "  --config FILE         what the agent may capture (/etc/mooring/capture.toml)\n"
    "  --agent-user NAME     the user mooringd runs as (mooring); --agent-uid is the same\n"
    "  --state-dir DIR       remembers what is captured (/run/mooring/net-state)\n"
    "  --user NAME           change to this user; keeps CAP_NET_ADMIN only\n"
    "  --backend NAME        nft-inet, nft-split, iptables-nft, iptables-legacy; default: the "
    "first that works\n"
    "  --log-level LEVEL     debug, info, warn, error\n"
    "  --plain               run the nft program; rules are not owned, changes by others are "
    "repaired\n"
    "  --no-tproxy           capture services by redirect, as where the kernel has no tproxy; the\n"
    "                        host's firewall then does not see their ports\n"
    "  --probe               say which backends work here, and end\n"
    "  --help, --version\n"
    "\n"
    "Needs CAP_NET_ADMIN; iptables-legacy also CAP_NET_RAW. Exit code 78: a wrong option or "
    "file.\n";

struct Text {
  const char* name;
  std::string Options::* member;
};
constexpr std::array kTexts{Text{"socket", &Options::socket},
                            Text{"config", &Options::config},
                            Text{"agent-user", &Options::agent_user},
                            Text{"agent-uid", &Options::agent_user},
                            Text{"state-dir", &Options::state_dir},
                            Text{"user", &Options::user},
                            Text{"backend", &Options::backend},
                            Text{"log-level", &Options::log_level}};
// getopt's values: those above follow from here, the others are their letters.
constexpr int kFirstText = 256;

std::vector<option> known_options() {
  std::vector<option> known;
  known.reserve(kTexts.size() + 6);
  int value = kFirstText;
  for (const Text& text : kTexts) {
    known.push_back({text.name, required_argument, nullptr, value++});
  }
  known.push_back({"plain", no_argument, nullptr, 'n'});
  known.push_back({"no-tproxy", no_argument, nullptr, 't'});
  known.push_back({"probe", no_argument, nullptr, 'p'});
  known.push_back({"help", no_argument, nullptr, 'h'});
  known.push_back({"version", no_argument, nullptr, 'v'});
  known.push_back({nullptr, 0, nullptr, 0});
  return known;
}

}  // namespace

std::optional<int> parse_options(int argc, char** argv, Options& options) {
  const std::vector<option> known = known_options();
  for (;;) {
    // NOLINTNEXTLINE(concurrency-mt-unsafe): before any thread
    const int got = ::getopt_long(argc, argv, "h", known.data(), nullptr);
    if (got == -1) break;
    if (got >= kFirstText) {
      options.*(kTexts[static_cast<std::size_t>(got - kFirstText)].member) = optarg;
    } else if (got == 'n') {
      options.is_plain = true;
    } else if (got == 't') {
      options.without_tproxy = true;
    } else if (got == 'p') {
      options.wants_probe_only = true;
    } else if (got == 'h') {
      std::fputs(kHelp, stdout);
      return 0;
    } else if (got == 'v') {
      std::puts("mooring-net " MOORING_VERSION);
      return 0;
    } else {
      return kExitConfig;
    }
  }
  if (optind == argc) return std::nullopt;
  std::fprintf(stderr, "mooring-net: unexpected argument %s\n", argv[optind]);
  return kExitConfig;
}

}  // namespace mooring::transparent_proxy
