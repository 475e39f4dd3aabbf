#include "discovery/refusal.h"

#include <array>
#include <string_view>

#include <fmt/format.h>

#include "core/escape.h"

namespace mooring::discovery {

namespace {

constexpr std::size_t kMaxQuoted = 500;
constexpr std::string_view kAlreadyActive = "already an active stream from this node";
constexpr std::string_view kUnauthorized = "authentication failed: ";

struct KnownRefusal {
  std::string_view part;
  const char* remedy;
};

// protocol.md §3.1 and rec/errors; the first one counts.
constexpr std::array kKnownRefusals{
    KnownRefusal{"token is expired", "make a new token for this host"},
    KnownRefusal{"token is revoked", "make a new token for this host"},
    KnownRefusal{"not yet valid", "set the clocks of this host and of the control plane"},
    KnownRefusal{"there is no signing key", "make a new token for this host"},
    KnownRefusal{"could not parse token",
                 "the token file has to hold the token as it was made, by this control plane"},
    KnownRefusal{"requires a workload-bound token",
                 "make a token that names the workload (kumactl generate dataplane-token "
                 "--workload)"},
    KnownRefusal{"Allowed workload in token", "make a token for this host's workload"},
    KnownRefusal{"no workload label required by the token",
                 "set the workload (control_plane.workload, or label kuma.io/workload)"},
    KnownRefusal{"proxy name from requestor",
                 "make a token for this host's name, or set the name that the token has"},
    KnownRefusal{"proxy mesh from requestor",
                 "make a token for this host's mesh, or set the mesh that the token has"},
    KnownRefusal{"required by the token",
                 "set the labels that the token asks for, or make another"},
    KnownRefusal{"not allowed with this token",
                 "set the labels that the token asks for, or make another"},
    KnownRefusal{"dataplane not found",
                 "apply the Dataplane to the control plane first, or give it with --dataplane"},
};

}  // namespace

Refusal explain_refusal(const http::GrpcStatus& status) {
  const std::string words = escape_peer_text(status.message, kMaxQuoted);
  if (status.message.find(kAlreadyActive) != std::string::npos) {
    return {Refusal::Kind::already_active,
            "the control plane still knows this host's stream before this one",
            ""};
  }
  for (const KnownRefusal& known : kKnownRefusals) {
    if (status.message.find(known.part) != std::string::npos)
      return {Refusal::Kind::unauthorized, "the control plane refuses: " + words, known.remedy};
  }
  if (status.message.starts_with(kUnauthorized) || status.code == http::GrpcCode::unauthenticated ||
      status.code == http::GrpcCode::permission_denied) {
    return {Refusal::Kind::unauthorized,
            "the control plane refuses: " + words,
            "make a token for this host's mesh, name and workload"};
  }
  if (status.code == http::GrpcCode::unimplemented) {
    return {Refusal::Kind::refused,
            "the server knows no delta ADS: " + words,
            "is it a Kuma control plane of 2.14 or newer?"};
  }
  const bool is_sentence = status.code != http::GrpcCode::ok &&
                           status.code != http::GrpcCode::unavailable &&
                           status.code != http::GrpcCode::cancelled;
  return {is_sentence ? Refusal::Kind::refused : Refusal::Kind::lost,
          fmt::format("the control plane ended the stream: {}{}{}",
                      http::to_string(status.code),
                      words.empty() ? "" : ", ",
                      words),
          ""};
}

}  // namespace mooring::discovery
