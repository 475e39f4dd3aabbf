// Records that several tests need.
#pragma once

#include "observe/access_log.h"

namespace mooring::observe {

inline SocketAddress address(const char* text) {
  return *parse_socket_address(text);
}

/// An inbound call of spiffe://shop/web to the service "db".
inline AccessRecord inbound_record(CloseReason reason = CloseReason::closed) {
  AccessRecord record;
  record.id = 7;
  record.start = WallTime(std::chrono::milliseconds(1790000000123));  // 2026-09-21T14:13:20.123Z
  record.duration = Milliseconds(250);
  record.reason = reason;
  record.listener = "db";
  record.cluster = "local_db";
  record.downstream_remote = address("10.0.0.1:40000");
  record.downstream_local = address("10.0.0.2:5432");
  record.upstream_remote = address("127.0.0.1:5432");
  record.upstream_local = address("127.0.0.6:50000");
  record.local_identity = "spiffe://shop/db";
  record.peer_identity = "spiffe://shop/web";
  record.tls_version = "TLSv1.3";
  record.tls_cipher = "TLS_AES_128_GCM_SHA256";
  record.sni = "db.shop";
  record.bytes_received = 11;
  record.bytes_sent = 22;
  return record;
}

/// The same call, seen from the host that began it.
inline AccessRecord outbound_record(CloseReason reason = CloseReason::closed) {
  AccessRecord record = inbound_record(reason);
  record.direction = Direction::outbound;
  record.cluster = "db";
  record.downstream_remote = address("10.0.0.1:39000");
  record.upstream_remote = address("10.0.0.2:5432");
  record.upstream_local = address("10.0.0.1:40000");
  record.local_identity = "spiffe://shop/web";
  record.peer_identity = "spiffe://shop/db";
  return record;
}

}  // namespace mooring::observe
