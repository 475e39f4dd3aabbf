#include "cli/man_prose.h"

#include <algorithm>
#include <array>

namespace mooring::cli {

namespace {

constexpr std::array<ProseFile, 5> kToolFiles{
    {{"/etc/mooring/agent.toml", "The configuration"},
     {"/etc/mooring/capture.toml", "What the agent may capture"},
     {"/etc/mooring/conf.d/10-control-plane.toml", "The control plane that this host has joined"},
     {"/etc/mooring/control-plane", "Its CA, the token, and the Dataplane if one was given"},
     {"/run/mooring/admin.sock", "Where the agent answers"}}};
constexpr std::array<ProseFile, 3> kAgentFiles{
    {{"/etc/mooring/agent.toml", "The configuration"},
     {"/etc/mooring/conf.d/*.toml", "More of it, in the order of the names"},
     {"/run/mooring/admin.sock", "Where mooring asks"}}};
constexpr std::array<ProseFile, 2> kHelperFiles{
    {{"/etc/mooring/capture.toml", "What the agent may capture"},
     {"/run/mooring/net.sock", "Where mooringd and mooring connect"}}};

constexpr std::array<Prose, 5> kProse{
    {{"mooring",
      "Asks the Mooring agent on this host what it does, tells it what to do, and turns the "
      "capture of connections on and off. mooring join makes the host a member of a mesh, and "
      "mooring "
      "leave ends that. Reading works for members of group mooring; changing "
      "is root's. With --json an answer is for programs.",
      "",
      "",
      kToolFiles},
     {"mooringd",
      "Takes the TCP connections of this host's applications, carries them to other hosts in "
      "mutual TLS with SPIFFE identities, decides who may call whom, and says what happened. It "
      "runs as user mooring and without any capability; mooring-net brings it the connections.",
      "SIGHUP applies the changed configuration, as mooring reload does, and opens the log files "
      "anew. SIGTERM and SIGINT end capture, let open connections finish within timeouts.drain, "
      "and end the agent.",
      "",
      kAgentFiles},
     {"mooring-net",
      "The only part of Mooring that holds a capability. It turns what mooringd and root ask for "
      "into rules of nftables or iptables, watches them, and takes them away. It knows its "
      "callers by their user: root may ask for anything, the agent for what capture.toml allows.",
      "SIGTERM ends it and leaves the rules in force for the next one.",
      "",
      kHelperFiles},
     {"agent.toml",
      "mooringd reads /etc/mooring/agent.toml and then conf.d/*.toml beside it, in the order of "
      "their names. A [[service]] or [[upstream]] of any file is one more; a key of another "
      "section may be set once in all files. mooring config check names every mistake with its "
      "file, line and column; mooring reload applies the files, or keeps what runs and says why. "
      "Durations are strings with a unit: \"100ms\", \"5s\", \"2m\", \"1h\". A SPIFFE ID is "
      "exact, or ends with /* and stands for every ID below.",
      "",
      R"([host]
trust_domain = "shop.example"

[[service]]
name = "shop"
port = 8080
allow = ["spiffe://shop.example/gateway"]

[[upstream]]
name = "shop-db"
addresses = ["10.77.0.2"]
ports = [5432]
spiffe_ids = ["spiffe://shop.example/db"]
)",
      {}},
     {"capture.toml",
      "/etc/mooring/capture.toml says what the agent, and with it a control plane, may capture "
      "on this host. It belongs to root and may be writable by nobody else. Without it the agent "
      "may capture nothing; what root sets by mooring capture on is allowed as well.",
      "",
      R"([inbound]
ports = [5432, "8000-8099"]
stay_closed = [5432]
[outbound]
addresses = ["10.0.0.0/8", "fd00::/8"]
ports = ["1-65535"]
refuse_other = false
redirect_dns = true
)",
      {}}}};

}  // namespace

const Prose& prose_of(std::string_view page) {
  return *std::find_if(
      kProse.begin(), kProse.end(), [&](const Prose& prose) { return prose.page == page; });
}

}  // namespace mooring::cli
