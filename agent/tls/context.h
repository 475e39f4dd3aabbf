// What a context and its sessions share.
#pragma once

#include <memory>

#include "core/clock.h"
#include "identity/material.h"
#include "tls/resume.h"
#include "tls/scratch.h"
#include "tls/session.h"
#include "tls/verify.h"

namespace mooring::tls {

/// Owned by the context and by each of its sessions, all of one worker: after a rotation the old
/// one goes with its last session. libssl's callbacks get a pointer to it; its SSL_CTX has no other
/// user.
struct ContextCore {
  ContextCore(Role its_role,
              identity::MaterialPtr its_material,
              Scratch& its_scratch,
              const Clock& its_clock);

  [[nodiscard]] bool verifies_peer() const noexcept { return material && material->trusted; }
  [[nodiscard]] WallTime own_not_after() const noexcept {
    return material->presented ? material->presented->not_after : WallTime::max();
  }

  Role role;
  identity::MaterialPtr material;
  Scratch::Impl& scratch;
  const Clock& clock;
  bool resumption = true;
  bool is_by_host = false;  // no material: libssl verifies the server
  PeerVerifier verifier;
  ClientSessions sessions;
  SslCtxPtr ssl_ctx;
};

}  // namespace mooring::tls
