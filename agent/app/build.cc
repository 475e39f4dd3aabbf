// The whole graph, from the configuration to a serving agent, in the order in which it comes up.
#include <csignal>
#include <utility>

#include "admin/listen.h"
#include "app/agent.h"
#include "app/process.h"

namespace mooring::app {

namespace {

constexpr Milliseconds kWaitForNames{2000};

observe::AccessLogOptions access_log_options(const config::AgentConfig& config,
                                             observe::FlightRecorder& recorder) {
  const config::Logging& logging = config.logging;
  observe::AccessLogOptions options;
  if (config.control_plane) options.own_folders = {config.control_plane->state_dir};
  if (logging.access_log) options.file = logging.access_log_file;
  options.json = logging.access_log_format == config::LogFormat::json;
  options.template_text = logging.access_log_template;
  options.recorder = &recorder;
  return options;
}

Diagnostic cannot_listen(const std::string& where, const Error& error) {
  return {where,
          "cannot listen: " + describe(error),
          error.code == Errc::conflict ? "does another agent run?" : ""};
}

}  // namespace

Checked<std::unique_ptr<Agent>> Agent::build(const std::string& config_file,
                                             config::AgentConfig config) {
  std::unique_ptr<Agent> agent(new Agent(config_file, std::move(config)));
  const config::AgentConfig& settings = agent->config_;
  const SocketNeeds needs{agent->stats_.workers(), keepalive_of(settings)};

  auto access_log = observe::AccessLog::make(access_log_options(settings, agent->recorder_));
  if (!access_log) return fail(access_log.error());
  agent->access_log_ = std::move(*access_log);
  agent->sink_hosts_ = std::make_unique<SinkHosts>(agent->loop_, *agent->access_log_);

  const auto on_signal = [raw = agent.get()](int number, void (Agent::*action)()) {
    raw->signals_.push_back(
        std::make_unique<SignalWatch>(raw->loop_, number, [raw, action] { (raw->*action)(); }));
  };
  on_signal(SIGTERM, &Agent::stop);
  on_signal(SIGINT, &Agent::stop);
  on_signal(SIGHUP, &Agent::hang_up);

  agent->server_ = std::make_unique<admin::Server>(agent->loop_, agent->handlers());
  auto admin_socket = admin::listen_unix(settings.admin.socket);
  if (!admin_socket) return fail(cannot_listen(settings.admin.socket, admin_socket.error()));
  agent->owns_admin_socket_ = true;
  agent->server_->add_socket(std::move(*admin_socket));
  if (settings.admin.metrics) {
    auto metrics = admin::listen_tcp(*settings.admin.metrics);
    if (!metrics) return fail(cannot_listen(settings.admin.metrics->to_string(), metrics.error()));
    agent->server_->add_metrics(std::move(*metrics));
  }

  agent->identity_.set_files(identity_files(settings));
  agent->names_.set_names(snapshot::host_names(settings));
  agent->names_.wait_for_first(kWaitForNames);
  if (!settings.control_plane) agent->bound_ = bound_addresses(agent->static_resources(settings));
  auto bound = open_bound(agent->bound_, needs);
  if (!bound) return fail(bound.error());

  agent->workers_ =
      std::make_unique<Workers>(agent->loop_, settings, agent->stats_, agent->access_log_.get());
  agent->publish();
  agent->workers_->add(std::move(*bound));
  agent->capture_ = std::make_unique<CaptureControl>(
      agent->loop_,
      needs,
      CaptureControl::Effects{
          [raw = agent.get()](WorkerSockets sockets) { raw->workers_->add(std::move(sockets)); },
          [raw = agent.get()] { raw->on_capture_changed(); },
          [raw = agent.get()]() -> const snapshot::Resources* {
            return raw->control_plane_ ? &raw->control_plane_->resources() : nullptr;
          },
          [raw = agent.get()] {
            return raw->control_plane_ ? raw->control_plane_->dns_port() : std::uint16_t{0};
          }});
  if (auto started = agent->capture_->start(settings, agent->names_.names()); !started)
    return fail(started.error());
  if (settings.control_plane) {
    if (auto joined = agent->join_mesh(*settings.control_plane); !joined)
      return fail(joined.error());
  }
  return agent;
}

}  // namespace mooring::app
