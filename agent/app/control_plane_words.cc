#include "app/control_plane_words.h"

#include <array>

#include <fmt/format.h>

namespace mooring::app {

namespace {

constexpr std::size_t kMaxShown = 300;

struct Saying {
  std::string_view part;     // of the control plane's text
  std::string_view message;  // empty: its own words say it
  std::string_view remedy;
};

constexpr std::string_view kNewToken =
    "make a new one: kumactl generate dataplane-token --mesh MESH --workload WORKLOAD --valid-for "
    "720h";

// The first that fits counts: the particular before the general.
constexpr std::array<Saying, 16> kSayings{{
    {"requires a workload-bound token",
     "the token is for any workload, and this mesh derives identities from the workload",
     kNewToken},
    {"is not allowed with this token",
     "",
     "name the token's workload with --workload, or make a token for this one"},
    {"dataplane has no workload label required by the token",
     "the token is for one workload, and the Dataplane names none",
     "name it with --workload"},
    {"proxy name from requestor",
     "",
     "the token is another host's: make one for this name, or use --name"},
    {"proxy mesh from requestor",
     "",
     "the token is for another mesh: make one for this mesh, or use --mesh"},
    {"required by the token", "", "add the label to the Dataplane, or make a token without it"},
    {"token is expired", "the token has expired", kNewToken},
    {"token used before",
     "the token is not yet valid",
     "compare the clocks of this host and of the control plane"},
    {"not yet valid",
     "the token is not yet valid",
     "compare the clocks of this host and of the control plane"},
    {"token is revoked", "the token was revoked", kNewToken},
    {"no signing key with KID",
     "the control plane no longer has the key that signed the token",
     kNewToken},
    {"signature is invalid",
     "the token was not signed by this control plane, or not for this mesh",
     kNewToken},
    {"token is malformed", "the control plane cannot read the token", kNewToken},
    {"could not parse token", "the control plane cannot read the token", kNewToken},
    {"already an active stream",
     "a host of the same name is connected, or was until a few seconds ago",
     "wait ten seconds; if it stays, another host has this name: use --name"},
    {"authentication failed", "", kNewToken},
}};

/// Control characters and line breaks become blanks: the text is a peer's.
std::string on_one_line(std::string_view text) {
  std::string line;
  for (const char c : text.substr(0, kMaxShown)) {
    const bool is_blank = static_cast<unsigned char>(c) <= ' ' || c == 0x7f;
    if (!is_blank) line += c;
    if (is_blank && !line.empty() && line.back() != ' ') line += ' ';
  }
  while (!line.empty() && (line.back() == ' ' || line.back() == '.'))
    line.pop_back();
  return text.size() > kMaxShown ? line + "..." : line;
}

}  // namespace

Explained explain_control_plane(std::string_view text) {
  for (const Saying& saying : kSayings) {
    if (text.find(saying.part) == std::string_view::npos) continue;
    return {saying.message.empty() ? fmt::format("the control plane says: {}", on_one_line(text))
                                   : std::string(saying.message),
            std::string(saying.remedy)};
  }
  return {fmt::format("the control plane says: {}", on_one_line(text)), ""};
}

}  // namespace mooring::app
