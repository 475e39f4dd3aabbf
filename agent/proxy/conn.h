// One proxied connection: two sockets, at most one TLS session on each, and the phase that says
// what an event means. Owned by its worker; lives on the worker's loop; ends once, in finish().
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "core/address.h"
#include "net/stream.h"
#include "observe/access_log.h"
#include "observe/stats.h"
#include "policy/authorize.h"
#include "policy/choose_chain.h"
#include "proxy/handshake_gate.h"
#include "proxy/worker.h"
#include "snapshot/snapshot.h"
#include "tls/client_hello.h"
#include "tls/session.h"

namespace mooring::proxy {

class WorkerLoop;

class Conn final : public net::TcpStream::Owner {
 public:
  enum class Phase : std::uint8_t {
    peeking,         // permissive inbound: which protocol does the client speak?
    awaiting_slot,   // as many TLS handshakes as allowed are under way; nothing is read
    handshaking,     // inbound: TLS with the downstream
    connecting,      // TCP to the upstream
    handshaking_up,  // outbound: TLS with the upstream
    relaying,
    closing,  // finished; waits to be destroyed
  };

  Conn(WorkerLoop& worker, std::uint64_t id);
  ~Conn();
  Conn(const Conn&) = delete;
  Conn& operator=(const Conn&) = delete;

  [[nodiscard]] std::uint64_t id() const noexcept { return id_; }

  /// Takes the accepted socket and runs the gather and decide phases. `bound` is the listener's
  /// name for sockets that a listener binds itself.
  void begin(UniqueFd fd, SocketKind kind, const std::string& bound);
  /// The deadline queue's call.
  void on_deadline();
  /// The handshake gate's call: it is this connection's turn.
  void on_handshake_turn();
  /// A new snapshot is in force: is this connection still allowed, and its peer still trusted?
  void recheck(const snapshot::Snapshot& snapshot);
  /// Now and then: a reset of a peer that nothing is read from is not seen otherwise.
  void look_for_resets();
  /// Gives up its TLS handshake, so that another peer gets its turn.
  void make_room();
  [[nodiscard]] bool is_in_handshake() const noexcept { return counts_as_handshake_; }
  /// In a handshake of which the peer has not said enough for an answer, nor is saying it.
  [[nodiscard]] bool stalls_handshake() const noexcept;
  /// Ends the connection. The first call counts.
  void finish(observe::CloseReason reason, std::string detail = {});

 private:
  struct Side {
    std::unique_ptr<net::TcpStream> tcp;
    std::unique_ptr<tls::Session> tls;
    bool read_ended = false;   // its end of stream has come
    bool write_ended = false;  // we were asked to end our stream to it
    bool fin_sent = false;
    // What has come too early: plain bytes before the other side is there, or a peer's before it is
    // this connection's turn to handshake.
    std::unique_ptr<ByteQueue> early;
  };
  /// What the first bytes told.
  struct FirstFacts {
    bool is_tls = false;
    std::string server_name;  // in lower case
    std::vector<std::string> application_protocols;
  };

  // net::TcpStream::Owner
  void on_connected(net::TcpStream& stream, int error) override;
  void on_bytes(net::TcpStream& stream, Bytes bytes) override;
  void on_eof(net::TcpStream& stream) override;
  void on_reset(net::TcpStream& stream, int error) override;
  void on_drained(net::TcpStream& stream) override;
  void on_write_closed(net::TcpStream& stream) override;

  // accept.cc: gather and decide
  bool gather(int fd, SocketKind kind, const std::string& bound);
  void peek(Bytes bytes);
  void end_peek();
  void choose_chain();
  bool use_newest();
  [[nodiscard]] bool refuse_chain();
  void begin_chain();
  void serve_chain();
  void serve_plain();
  void begin_upstream();
  [[nodiscard]] bool inspect(Bytes bytes);
  [[nodiscard]] tls::FirstBytes inspect_tls(Bytes bytes);
  [[nodiscard]] bool inspect_http(Bytes bytes);
  [[nodiscard]] policy::ChainFacts chain_facts() const noexcept;

  // handshake.cc
  void start_server_handshake();
  void start_client_handshake();
  void handshake(Side& side, Bytes bytes);
  void step_handshake(Side& side, Bytes bytes);
  void on_handshake_done(Side& side);
  void fail_tls(Side& side, const tls::Step& step);
  void count_tls_failure(const Side& side, tls::Failure failure);
  void authorize();
  [[nodiscard]] policy::Verdict verdict_of(const snapshot::ListenerPart& listener,
                                           const snapshot::ChainPart& chain) const;

  // connect.cc
  void connect_upstream();
  bool try_next_endpoint();
  void dial(const SocketAddress& target);
  void on_connect_failed(int error);
  /// The endpoint that was tried did not become a path for bytes: the next one, or the end.
  void fail_upstream(observe::CloseReason reason, std::string detail);
  void let_go_of_upstream();
  void count_upstream_end(bool by_remote);

  // relay.cc
  void start_relay();
  void deliver_early(Side& from, Side& to);
  void receive(Side& side, Bytes bytes);
  void fail_record(const Side& side, tls::Failure failure);
  void watch_for_late_tls(Bytes bytes);
  void deliver(Side& from, Side& to, Bytes plain);
  void end_stream(Side& from, Side& to);
  void finish_if_done();
  void check_idle();

  [[nodiscard]] Side& side_of(const net::TcpStream& stream) noexcept {
    return &stream == downstream_.tcp.get() ? downstream_ : upstream_;
  }
  [[nodiscard]] bool is_inbound() const noexcept {
    return listener_->direction == snapshot::Direction::inbound;
  }
  /// The side that speaks with another host's agent.
  [[nodiscard]] const Side& secured_side() const noexcept {
    return downstream_.tls ? downstream_ : upstream_;
  }
  [[nodiscard]] HandshakeGate::Group handshake_group(HandshakeRole role) const noexcept {
    return role == HandshakeRole::server ? nullptr : cluster_stats_;
  }
  [[nodiscard]] bool is_trusted_by(const snapshot::Snapshot& snapshot, const Side& side) const;
  [[nodiscard]] bool is_expected_by(const snapshot::Snapshot& snapshot) const;
  [[nodiscard]] bool is_decided() const noexcept;
  void recheck_chain(const snapshot::ListenerPart& listener);
  void enter_handshake(HandshakeRole role);
  void leave_handshake();
  void hold(Side& side, Bytes bytes);
  [[nodiscard]] static std::vector<std::byte> take_held(Side& side);
  void set_deadline(Milliseconds after);
  void clear_deadline() noexcept { deadline_ms_ = 0; }
  void touch() noexcept;
  [[nodiscard]] observe::AccessRecord record(observe::CloseReason reason, std::string detail) const;

  WorkerLoop& worker_;
  const std::uint64_t id_;
  Phase phase_ = Phase::connecting;
  bool counts_as_handshake_ = false;
  // Plain text on a server-first permissive port: what the client says first is not known yet.
  bool watches_late_tls_ = false;
  bool upstream_counted_ = false;
  bool has_place_ = false;     // counts as one of the cluster's connections
  bool has_answered_ = false;  // as a TLS server: its first flight is out
  HandshakeRole handshake_role_ = HandshakeRole::server;  // of the handshake, or of the wait for it

  std::uint64_t generation_ = 0;  // of the snapshot that the parts below are from
  snapshot::ListenerPtr listener_;
  const snapshot::ChainPart* chain_ = nullptr;      // of listener_; null: not chosen yet, or none
  snapshot::ClusterPtr cluster_;                    // null: none
  const snapshot::Transport* transport_ = nullptr;  // of cluster_, for the endpoint that is tried
  std::unique_ptr<FirstFacts> first_facts_;         // null: nothing but plain text, as far as known
  observe::ListenerStats* stats_ = nullptr;
  observe::ClusterStats* cluster_stats_ = nullptr;

  Side downstream_;
  Side upstream_;
  std::unique_ptr<net::TcpStream> retired_stream_;  // an attempt that failed
  std::vector<SocketAddress> tried_;

  SocketAddress downstream_remote_;
  SocketAddress downstream_local_;
  SocketAddress upstream_remote_;
  SocketAddress upstream_local_;
  std::string rule_;
  std::string shadow_;
  WallTime start_;
  std::uint64_t start_ms_ = 0;
  std::uint64_t connect_start_ms_ = 0;
  std::uint64_t connect_done_ms_ = 0;
  std::uint64_t deadline_ms_ = 0;  // 0: none
  std::uint64_t queued_deadline_ms_ = 0;
  std::uint64_t last_active_ms_ = 0;
  std::uint64_t last_backlog_ = 0;  // when the idle timeout was last looked at
  std::uint64_t bytes_received_ = 0;
  std::uint64_t bytes_sent_ = 0;
};

}  // namespace mooring::proxy
