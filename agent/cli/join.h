// `mooring join`: makes this host a member of a mesh. Straight blocking code; everything is looked
// at before anything is changed.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "app/dataplane.h"
#include "cli/commands.h"
#include "cli/join_checks.h"
#include "cli/join_host.h"
#include "cli/join_plan.h"
#include "config/model.h"
#include "discovery/credentials.h"
#include "transparent-proxy/bounds.h"

namespace mooring::cli {

template <class T>
using Attempt = tl::expected<T, Failure>;

class Join {
 public:
  /// Both outlive it.
  Join(const Environment& environment, const Arguments& arguments)
      : environment_(environment), arguments_(arguments), paths_(arguments.config_file) {}

  [[nodiscard]] ExitCode run();

 private:
  using Json = nlohmann::json;

  // join.cc: changes nothing
  Attempt<void> check();
  Attempt<void> read_inputs();
  Attempt<void> plan_settings();
  Attempt<void> plan_dataplane();
  Attempt<void> check_token();
  Attempt<void> check_ports();
  Attempt<void> ask_control_planes();
  [[nodiscard]] Attempt<config::ControlPlane> wanted() const;
  Attempt<void> take_names_of_file(config::ControlPlane& plane);
  [[nodiscard]] Attempt<IpAddress> own_address() const;
  PlannedFile& add_file(std::string path, std::string content);
  Attempt<void> ask(const config::ControlPlaneAddress& address, const std::string& body);

  // join_apply.cc
  Attempt<void> apply();
  Attempt<void> wait_until_up();
  [[nodiscard]] bool changes_agent() const;
  [[nodiscard]] std::int64_t agent_pid() const;  // 0: none answers
  [[nodiscard]] Json ask_status() const;
  [[nodiscard]] static bool is_up(const Json& status);
  [[nodiscard]] static bool is_refused(const Json& status);
  [[nodiscard]] Failure explain_wait() const;
  void say(const std::string& text) const;  // to people only
  void show_plan() const;
  void show_host() const;
  void print_json(const Failure* failure) const;
  [[nodiscard]] ExitCode finish(const Attempt<void>& done) const;

  struct Inputs {
    std::string ca_pem;
    std::string token;  // a secret
    std::optional<discovery::TokenClaims> claims;
    std::string dataplane;  // text of the file; empty: composed
  };

  const Environment& environment_;
  const Arguments& arguments_;
  JoinPaths paths_;
  Inputs inputs_;
  config::AgentConfig config_;  // as it will be
  config::ControlPlane plane_;  // config_.control_plane
  app::Dataplane dataplane_;
  transparent_proxy::Bounds bounds_;
  std::vector<PlannedFile> files_;
  std::vector<std::string> answered_;  // URLs
  std::vector<std::string> warnings_;
  std::int64_t pid_before_ = 0;  // of the agent that has to be another one
  Json status_;                  // the last answer of the agent that has joined
};

}  // namespace mooring::cli
