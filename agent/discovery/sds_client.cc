#include "discovery/sds_client.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include <fmt/format.h>

#include "core/error.h"
#include "core/escape.h"
#include "core/log.h"

namespace mooring::discovery {

namespace {

// The bundles of some hundred trust domains.
constexpr std::size_t kMaxMessage = std::size_t{4} * 1024 * 1024;

struct Explained {
  std::string problem;
  std::string remedy;
};

Explained explain(const std::string& path, const std::string& last_error) {
  const int error = ::access(path.c_str(), R_OK | W_OK) == 0 ? 0 : errno;
  const std::string shown = escape_peer_text(path);
  if (error == ENOENT || error == ENOTDIR) {
    return {fmt::format("there is no socket {}", shown),
            "start the SPIRE agent, or set control_plane.spire_socket to where its socket is; "
            "mooringd does not see /tmp of others"};
  }
  if (error == EACCES || error == EPERM) {
    return {fmt::format("this process may not open {}", shown),
            "let the user of mooringd write to the socket and enter its folders, for instance by "
            "the socket's group"};
  }
  return {fmt::format("the server at {} cannot be reached: {}", shown, last_error), ""};
}

}  // namespace

SdsClient::SdsClient(Loop& loop,
                     net::StreamPool& pool,
                     tls::Scratch& scratch,
                     const Clock& clock,
                     SdsTimes times,
                     SdsStream::Take take)
    : loop_(loop),
      pool_(pool),
      scratch_(scratch),
      clock_(clock),
      times_(times),
      take_(std::move(take)) {}

SdsClient::~SdsClient() = default;

void SdsClient::follow(const Store& store, const NodeInfo& node) {
  Names names;
  const std::set<std::string>& wanted = store.wanted(ResourceKind::secret);
  for (auto each = wanted.lower_bound(std::string(kSdsSecret)); each != wanted.end(); ++each) {
    const auto parts = parse_sds_name(*each);
    if (!parts) break;
    names[std::string(parts->cluster)].emplace_back(parts->name);
  }
  std::erase_if(servers_, [&](const auto& each) { return !names.contains(each.first); });
  for (const auto& [cluster, of_it] : names) {
    const auto pipe = store.pipe_clusters().find(cluster);
    const std::string path = pipe == store.pipe_clusters().end() ? "" : pipe->second.path;
    auto found = servers_.find(cluster);
    if (found == servers_.end()) {
      if (servers_.size() >= kMaxSdsServers) continue;
      found = servers_.emplace(cluster, make_server(path)).first;
    } else if (found->second.path != path) {
      found->second = make_server(path);
    }
    follow_names(cluster, found->second, of_it, node);
  }
}

SdsClient::Server SdsClient::make_server(const std::string& path) {
  Server server{.path = path, .problem = {}, .remedy = {}, .channel = nullptr};
  if (path.empty()) return server;
  GrpcChannelOptions options;
  options.targets.push_back(
      {.address = {}, .proxy = std::nullopt, .unix_path = path, .server_name = {}});
  options.ping_after = kPingRarely;
  options.backoff_base = times_.retry_base / 2;
  options.backoff_cap = times_.retry_cap;
  options.max_message = kMaxMessage;
  auto channel = GrpcChannel::make(loop_, pool_, scratch_, clock_, std::move(options));
  AGENT_CHECK(channel);  // it fails only for a CA
  server.channel = std::move(*channel);
  server.channel->start();
  return server;
}

void SdsClient::follow_names(const std::string& cluster,
                             Server& server,
                             const std::vector<std::string>& names,
                             const NodeInfo& node) {
  std::erase_if(server.streams, [&](const auto& each) {
    return std::find(names.begin(), names.end(), each.first) == names.end();
  });
  server.left_out = 0;
  for (const std::string& name : names) {
    if (!server.channel || server.streams.contains(name)) continue;
    if (server.streams.size() >= kMaxSdsSecrets) {
      ++server.left_out;
      continue;
    }
    server.streams.emplace(
        name,
        std::make_unique<SdsStream>(
            loop_,
            *server.channel,
            clock_,
            SdsStream::Options{
                .cluster = cluster, .name = name, .node = node, .times = times_, .take = take_}));
  }
}

void SdsClient::tick() {
  for (auto& [cluster, server] : servers_)
    look_at(cluster, server);
}

void SdsClient::look_at(const std::string& cluster, Server& server) {
  Explained found;
  if (!server.channel) {
    found.problem = "the control plane has named no cluster with a unix socket";
  } else if (!server.channel->state().is_connected) {
    if (server.channel->state().failures == 0) return;
    found = explain(server.path, server.channel->state().last_error);
  } else if (server.left_out != 0) {
    found.problem = fmt::format(
        "{} secrets are not asked for: more than {} are named", server.left_out, kMaxSdsSecrets);
  }
  if (server.problem != found.problem) {
    if (found.problem.empty()) {
      log::info("secrets: {}: connected", escape_peer_text(cluster));
    } else {
      log::warn("secrets: {}: {}{}",
                escape_peer_text(cluster),
                found.problem,
                found.remedy.empty() ? "" : " (" + found.remedy + ")");
    }
  }
  server.problem = std::move(found.problem);
  server.remedy = std::move(found.remedy);
}

std::vector<SdsServerState> SdsClient::state() const {
  std::vector<SdsServerState> states;
  for (const auto& [cluster, server] : servers_) {
    SdsServerState& state = states.emplace_back();
    state.cluster = cluster;
    state.path = server.path;
    state.is_connected = server.channel && server.channel->state().is_connected;
    state.problem = server.problem;
    state.remedy = server.remedy;
    for (const auto& [name, stream] : server.streams)
      state.secrets.push_back(stream->state());
  }
  return states;
}

}  // namespace mooring::discovery
