#include "proxy/tls_contexts.h"

#include <algorithm>
#include <utility>

#include "core/log.h"
#include "proxy/tls_options.h"

namespace mooring::proxy {

const std::shared_ptr<tls::Context>& TlsContexts::get(const snapshot::TlsPartPtr& part) {
  static const std::shared_ptr<tls::Context> kNone;
  if (part == nullptr) return kNone;
  const auto [found, is_new] = contexts_.try_emplace(part);
  if (!is_new) return found->second;
  auto made = make_context(*part, scratch_, clock_);
  if (made) {
    found->second = std::move(*made);
  } else {
    log::error("tls context failed error=\"{}\"", describe(made.error()));
  }
  return found->second;
}

void TlsContexts::keep(const std::vector<snapshot::TlsPartPtr>& parts) {
  std::erase_if(contexts_, [&](const auto& entry) {
    return std::find(parts.begin(), parts.end(), entry.first) == parts.end();
  });
}

}  // namespace mooring::proxy
