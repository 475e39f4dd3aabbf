#include "discovery/sds_stream.h"

#include <algorithm>
#include <span>
#include <utility>

#include <fmt/format.h>

#include "core/escape.h"
#include "core/log.h"
#include "discovery/decode.h"

namespace mooring::discovery {

namespace {

constexpr const char* kMethod = "/envoy.service.secret.v3.SecretDiscoveryService/StreamSecrets";
constexpr std::size_t kMaxQuoted = 500;

}  // namespace

SdsStream::SdsStream(Loop& loop, GrpcChannel& channel, const Clock& clock, Options options)
    : channel_(channel),
      clock_(clock),
      options_(std::move(options)),
      retry_(loop, [this] { open(); }),
      first_answer_(loop, [this] { set_problem("has the request, and does not answer", ""); }) {
  state_.name = options_.name;
  open();
}

void SdsStream::open() {
  call_ = channel_.open(kMethod, {}, *this);
}

void SdsStream::on_open() {
  version_.clear();
  nonce_.clear();
  first_answer_.start(options_.times.first_answer);
  send("");
}

void SdsStream::send(std::string error) {
  const std::string bytes =
      encode_sotw_request({.type_url = std::string(type_url(ResourceKind::secret)),
                           .names = {options_.name},
                           .version = version_,
                           .nonce = nonce_,
                           .error = std::move(error)},
                          options_.node);
  call_->send(std::as_bytes(std::span(bytes)));
}

void SdsStream::on_message(Bytes message) {
  first_answer_.stop();
  auto response = decode_sotw_response(message);
  if (response) return take(std::move(*response));
  call_.reset();
  on_end({http::GrpcCode::internal, "its message is none"});
}

void SdsStream::take(SotwResponse response) {
  auto& resources = response.content.resources;
  nonce_ = std::move(response.content.nonce);
  if (resources.empty()) {
    version_ = std::move(response.version);
    set_problem(
        state_.received ? "has no such secret any more; the last one stays" : "has no such secret",
        "");
    return send("");
  }
  // One that has another name, or none that can be read, is refused as this one: by what it is.
  const auto named = std::find_if(resources.begin(), resources.end(), [this](const auto& each) {
    return each.name == options_.name;
  });
  DeltaResource wanted = std::move(named == resources.end() ? resources.front() : *named);
  wanted.name = fmt::format("{}{}/{}", kSdsSecret, options_.cluster, options_.name);
  DeltaResponse one{.type_url = std::move(response.content.type_url)};
  one.resources.push_back(std::move(wanted));
  const std::string error = describe_rejected(options_.take(std::move(one)));
  if (error.empty()) {
    backoff_.reset();
    version_ = std::move(response.version);
    state_.received = clock_.wall();
    set_problem("", "");
  } else {
    set_problem("sent a secret that cannot be used: " + error, "");
  }
  send(error);
}

void SdsStream::on_end(const http::GrpcStatus& status) {
  first_answer_.stop();
  const std::string words = escape_peer_text(status.message, kMaxQuoted);
  const auto code = status.code;
  if (code == http::GrpcCode::invalid_argument || code == http::GrpcCode::permission_denied) {
    set_problem("refuses: " + words,
                "SPIRE needs a registration entry with this SPIFFE ID and a selector of this "
                "agent's process, such as unix:user:mooring");
  } else if (channel_.state().is_connected) {
    set_problem(fmt::format("ended the stream: {}, {}", http::to_string(code), words), "");
  }
  retry_.start(backoff_.next(options_.times.retry_base, options_.times.retry_cap));
}

void SdsStream::set_problem(std::string problem, std::string remedy) {
  if (state_.problem == problem) return;
  if (!problem.empty()) {
    log::warn("secrets: {} of {}: the server {}",
              escape_peer_text(options_.name),
              escape_peer_text(options_.cluster),
              problem);
  }
  state_.problem = std::move(problem);
  state_.remedy = std::move(remedy);
}

}  // namespace mooring::discovery
