#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "core/escape.h"
#include "discovery/bootstrap.h"

namespace mooring::discovery {

namespace {

/// An answer of a control plane, by its status and a part of its text.
struct KnownAnswer {
  int status;
  std::string_view part;
  const char* message;
  const char* hint;
  bool may_pass;
};

// protocol.md §2; the texts as recorded (rec/errors). The first one counts.
constexpr std::array kKnownAnswers{
    KnownAnswer{422, "Token is required", "wants a token", "give it with --token-file", false},
    KnownAnswer{422,
                "mesh: mesh ",
                "does not know the mesh",
                "make the mesh, or correct its name (control_plane.mesh, or mesh of the Dataplane)",
                false},
    KnownAnswer{422,
                "should be empty since dataplane is in Transparent Proxying mode",
                "refuses a Dataplane with outbounds on a host whose traffic is captured",
                "remove networking.outbound from the Dataplane, or capture nothing outbound",
                false},
    KnownAnswer{422, "", "does not accept the Dataplane", "correct the Dataplane", false},
    KnownAnswer{400,
                "has the following SANs",
                "has no such name in its certificate",
                "join with one of the names that it lists as the control plane's address",
                false},
    KnownAnswer{400,
                "not a certificate authority",
                "has a certificate that was signed by somebody else, and was not told by whom",
                "give the CA that signed the control plane's certificate with --ca-file",
                false},
    KnownAnswer{
        400, "", "cannot use the request", "is it a Kuma control plane of 2.14 or newer?", false},
    KnownAnswer{404,
                "",
                "does not know this Dataplane",
                "apply the Dataplane to the control plane first, or give it with --dataplane",
                true},
};

BootstrapFailure made(const std::string& url,
                      std::string message,
                      std::string hint,
                      bool may_pass) {
  return {Diagnostic{url, std::move(message), std::move(hint)}, may_pass};
}

/// What OpenSSL and libcurl say of a certificate, by a part of their text.
struct KnownFault {
  std::string_view part;
  const char* message;
  const char* hint;
};

constexpr const char* kOtherCa = "was not signed by the CA in the CA file";
constexpr const char* kGiveCa = "give the CA that signed it with --ca-file";
// The first one counts.
constexpr std::array kKnownFaults{
    KnownFault{"has expired", "has expired", "renew it there, or set this host's clock"},
    KnownFault{"not yet valid",
               "is not valid yet",
               "set the clocks of this host and of the control plane"},
    KnownFault{"subject name",
               "does not cover this address",
               "use a name that it covers, or let it cover this one"},
    KnownFault{"local issuer", kOtherCa, kGiveCa},
    KnownFault{"self-signed", kOtherCa, kGiveCa},
    KnownFault{"self signed", kOtherCa, kGiveCa},
    KnownFault{"signature failure", kOtherCa, kGiveCa},
    KnownFault{"",
               "is not to be trusted",
               "the CA file has to have the CA that signed it, the address has to be one of its "
               "names, and the clocks have to agree"}};

BootstrapFailure untrusted(const std::string& url, std::string_view text, const std::string& why) {
  const auto* known =
      std::find_if(kKnownFaults.begin(), kKnownFaults.end(), [&](const KnownFault& fault) {
        return text.find(fault.part) != std::string_view::npos;
      });
  return made(url,
              fmt::format("the control plane's certificate {}: {}", known->message, why),
              known->hint,
              true);
}

}  // namespace

BootstrapFailure explain_bootstrap(const std::string& url, const net::HttpFailure& failure) {
  const std::string why = escape_peer_text(failure.text);
  switch (failure.code) {
    case Errc::not_found:
      return made(url,
                  "the control plane's name has no address: " + why,
                  "check the control plane's address and this host's name resolution",
                  true);
    case Errc::refused:
      return made(url,
                  "the control plane cannot be reached: " + why,
                  "check its address and port (usually 5678), and the firewalls in between",
                  true);
    case Errc::timed_out:
      return made(url,
                  "the control plane does not answer: " + why,
                  "check its address and port (usually 5678), and the firewalls in between",
                  true);
    case Errc::untrusted:
      return untrusted(url, failure.text, why);
    case Errc::bad_certificate:
      return made(url,
                  "the CA file cannot be used: " + why,
                  "it holds certificates in PEM, of the CA that signed the control plane's",
                  false);
    case Errc::tls_protocol:
      return made(url,
                  "the control plane does not speak TLS: " + why,
                  "the port is that of the data plane server (usually 5678), not of the API",
                  true);
    case Errc::too_large:
      return made(url,
                  "the control plane's answer is too large",
                  "is the address that of a Kuma control plane?",
                  false);
    case Errc::bad_input:
      return made(url, "this is no address of a control plane: " + why, "https://HOST:5678", false);
    // What the HTTP client does not say, or what needs no other words.
    case Errc::permission:
    case Errc::unsupported:
    case Errc::conflict:
    case Errc::closed:
    case Errc::reset:
    case Errc::unreachable:
    case Errc::exhausted:
    case Errc::expired:
    case Errc::truncated:
    case Errc::system:
      break;
  }
  return made(url,
              "the connection to the control plane was lost: " + why,
              "look at the control plane's log, and at proxies in between",
              true);
}

BootstrapFailure explain_bootstrap(const std::string& url, const net::HttpAnswer& answer) {
  constexpr std::size_t kMaxQuoted = 500;
  const std::string text = escape_peer_text(answer.body, kMaxQuoted);
  for (const KnownAnswer& known : kKnownAnswers) {
    if (known.status != answer.status || answer.body.find(known.part) == std::string::npos)
      continue;
    std::string message = fmt::format("the control plane {}", known.message);
    if (!text.empty()) message += ": " + text;
    return made(url, std::move(message), known.hint, known.may_pass);
  }
  const bool is_text_4xx = answer.status >= 400 && answer.status < 500 && !text.empty();
  return made(
      url,
      fmt::format("the control plane answers with status {}{}{}",
                  answer.status,
                  text.empty() ? "" : ": ",
                  text),
      answer.status >= 500 ? "look at the control plane's log" : "is it a Kuma control plane?",
      !is_text_4xx);
}

}  // namespace mooring::discovery
