// A host's membership in a mesh: bootstrap, one delta ADS stream, and the store that it fills, kept
// up for as long as the agent runs. On the control loop. Whatever the control plane does, what was
// good goes on being served, and nothing is asked more often than the backoff says.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "core/clock.h"
#include "core/loop.h"
#include "discovery/backoff.h"
#include "discovery/bootstrap.h"
#include "discovery/credentials.h"
#include "discovery/delta_codec.h"
#include "discovery/delta_session.h"
#include "discovery/grpc_channel.h"
#include "discovery/health_stream.h"
#include "discovery/last_good.h"
#include "discovery/refusal.h"
#include "discovery/sds_client.h"
#include "discovery/sotw_adapter.h"
#include "discovery/store.h"
#include "net/http_client.h"

namespace mooring::discovery {

/// How long things may take. Of a control plane in order only the window after a stream (Kuma:
/// 10 s) is ever felt.
struct XdsTimes {
  Milliseconds first_answer{15000};  // from the first request; Kuma takes 1.3 s
  Milliseconds warm_clusters{5000};  // from the first clusters until listeners are asked for anyway
  Milliseconds connect_patience{
      10000};                        // without a connection, before another control plane is asked
  Milliseconds active_window{1000};  // between attempts while the stream before is remembered
  Milliseconds retry_base{1000};     // doubles with every attempt that changes nothing
  Milliseconds retry_cap{30000};
  Milliseconds refused_base{10000};  // the same, where a person has to do something first
  Milliseconds refused_cap{60000};
  Milliseconds tick{1000};         // how often files and what waits are looked at
  Milliseconds save_after{1000};   // of the first change
  Milliseconds save_every{10000};  // at most; and a second for each MiB
  /// Of state of the world: until a version that was refused already is refused again.
  Milliseconds repeat_refusal{5000};
  SdsTimes sds{};
};

struct XdsOptions {
  /// Of a plain xDS server (parse_bootstrap_file()), which is asked instead of control_planes. Read
  /// again whenever that is lost or refuses.
  std::string bootstrap_file;
  std::vector<HostPort> control_planes;  // bootstrap servers, tried in turn; else at least one
  std::optional<HttpProxy> proxy;
  std::string ca_file;         // PEM; read anew for every bootstrap
  std::string token_file;      // see token_path()
  BootstrapRequest identity;   // without token and ca_pem, which are the files'
  std::string last_good_file;  // empty: nothing is kept
  std::string machine_id;
  bool persist_secrets = true;
  StoreOptions store;
  XdsTimes times{};
};

enum class XdsPhase : std::uint8_t {
  stopped,
  bootstrapping,
  connecting,  // and opening the stream
  waiting,     // for the first answer
  live,
  refused,  // and will try again
};
[[nodiscard]] const char* to_string(XdsPhase phase) noexcept;

/// For `status`. Texts are one sentence each, with the peer's words escaped.
struct XdsState {
  XdsPhase phase = XdsPhase::stopped;
  std::string control_plane;  // "https://host:port" that was asked last, or "unix:/path"
  std::string node_id;
  std::string problem;  // why it is not live; of a live one, why a newer Dataplane is not in force
  std::string remedy;
  WallTime since{};                       // of the phase
  std::optional<WallTime> last_response;  // of this run
  std::optional<WallTime> last_good;  // what is served is as old as that, until listeners have come
  bool has_listeners = false;         // of this run
  std::string file_problem;           // of the file of last good resources
  std::string token_warning;
  std::uint64_t streams = 0;
  std::uint64_t responses = 0;
  std::uint64_t rejections = 0;  // responses that were refused in part
};

class XdsClient final : public GrpcHandler {
 public:
  /// Called from the loop, never from inside a call on the client.
  class Owner {
   public:
    /// Resources are other than at the last call.
    virtual void on_resources(const Store& store, const Changes& changes) = 0;
    virtual void on_state(const XdsState& state) = 0;

   protected:
    ~Owner() = default;
  };

  /// Everything referred to outlives the client; `pool` the loop's last turn.
  XdsClient(Loop& loop,
            net::StreamPool& pool,
            tls::Scratch& scratch,
            const Clock& clock,
            XdsOptions options,
            Owner& owner);
  ~XdsClient();  // not in a callback of its own
  XdsClient(const XdsClient&) = delete;
  XdsClient& operator=(const XdsClient&) = delete;

  /// Serves what was good last, and asks the control plane.
  void start();
  /// Ends the stream, so that the control plane forgets this host, and keeps what was good.
  void stop();
  /// Another Dataplane, or another redirection: the stream is made anew with it once the bootstrap
  /// has accepted it. What is served goes on.
  void set_identity(BootstrapRequest identity);

  [[nodiscard]] const XdsState& state() const noexcept { return state_; }
  [[nodiscard]] const Store& store() const noexcept { return store_; }
  /// What the control plane is told of this host's applications.
  [[nodiscard]] std::vector<HealthStream::Result> health() const { return health_.results(); }
  /// The servers of secrets beside the control plane.
  [[nodiscard]] std::vector<SdsServerState> secret_servers() const { return sds_.state(); }

 private:
  enum class Next : std::uint8_t { nothing, bootstrap, stream };

  void on_open() override;
  void on_message(Bytes message) override;
  void on_end(const http::GrpcStatus& status) override;

  void load_last_good();
  void save_last_good();
  void save_later();

  void act();
  void ask_bootstrap();
  void read_bootstrap();
  [[nodiscard]] bool read_files();
  void take_bootstrap(net::HttpResult result);
  void fail_bootstrap(BootstrapFailure failure);
  void adopt(Bootstrap bootstrap);
  [[nodiscard]] bool make_channel(const Bootstrap& bootstrap);
  void open_stream();
  void drop_stream();
  [[nodiscard]] std::vector<http::Header> call_metadata();

  void send_requests();
  void send(const std::string& request);
  void repeat_refusals();
  [[nodiscard]] Result<DeltaResponse> decode_response(Bytes message);
  [[nodiscard]] std::set<std::string> known_names(ResourceKind kind) const;
  void want_names();
  void ask_listeners_if_warm();
  void take_response(DeltaResponse response);
  [[nodiscard]] std::vector<RejectedResource> take_secret(DeltaResponse response);
  void refuse(const Refusal& refusal);
  [[nodiscard]] std::string identity_id() const;
  void answer_is_late();

  void tick();
  void set_phase(XdsPhase phase);
  void set_problem(std::string problem, std::string remedy);
  void schedule(Next next, Milliseconds after);
  void notify_soon();
  void notify();

  Loop& loop_;
  net::StreamPool& pool_;
  tls::Scratch& scratch_;
  const Clock& clock_;
  XdsOptions options_;
  Owner& owner_;
  XdsState state_;
  Store store_;
  TokenFile token_;
  std::string ca_pem_;
  std::optional<LastGoodFile> file_;
  Backoff backoff_;

  std::size_t control_plane_ = 0;  // of options_.control_planes
  std::size_t failed_planes_ = 0;  // in a row
  Next next_ = Next::nothing;      // what retry_ does
  bool is_identity_new_ = false;   // no bootstrap has accepted it yet
  bool is_state_new_ = false;
  bool is_waiting_for_warmth_ = false;
  std::uint64_t apart_since_ms_ = 0;  // without a connection; 0: connected, or nobody wants one
  std::uint64_t live_since_ms_ = 0;
  std::uint64_t wanted_revision_ = 0;  // of the store's names, that session_ has asked for
  std::uint64_t saved_ms_ = 0;         // 0: not yet
  std::uint64_t saved_revision_ = 0;   // of the store
  std::size_t saved_bytes_ = 0;
  bool is_save_due_ = false;

  std::optional<Bootstrap> bootstrap_;  // metadata with an empty value has the token in its place
  std::string bootstrap_token_;         // that the last one was asked with
  NodeInfo node_;
  std::unique_ptr<net::HttpFetch> fetch_;
  std::unique_ptr<net::HttpFetch> retired_fetch_;  // whose callback may still run
  std::unique_ptr<GrpcChannel> channel_;
  std::unique_ptr<GrpcCall> call_;
  std::optional<DeltaSession> session_;  // while the stream is open
  std::optional<SotwAdapter> sotw_;      // the same, where the stream is state of the world
  HealthStream health_;                  // on channel_
  bool is_health_asked_ = false;         // of channel_
  SdsClient sds_;

  Timer retry_;
  Timer first_answer_;
  Timer warm_clusters_;
  Timer repeat_refusals_;
  Timer notify_;
  Timer save_;
  Timer tick_;
};

}  // namespace mooring::discovery
