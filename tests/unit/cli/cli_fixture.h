// A command line with nothing real behind it.
#pragma once

#include <cerrno>
#include <sstream>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <gmock/gmock.h>

#include "cli/cli.h"
#include "config/load.h"

namespace mooring::cli {

/// A host whose agent and helper answer what the test says, and that remembers what it was asked.
class Cli : public ::testing::Test {
 protected:
  Cli() {
    environment_.out = &out_;
    environment_.err = &err_;
    environment_.admin =
        [this](const std::string& socket, std::string_view method, const std::string& target) {
          asked_.push_back(fmt::format("{} {} {}", socket, method, target));
          return answer_;
        };
    environment_.load_config = [this](const std::string& file) {
      loaded_.push_back(file);
      return config::parse({{file, config_text_}});
    };
    environment_.capture_on = [this](const std::string& socket,
                                     const capture_client::InterceptConfig& config) {
      helper_.push_back("on " + socket);
      captured_ = config;
      return helper_answer_;
    };
    environment_.capture_try = [this](const std::string& socket,
                                      const capture_client::InterceptConfig& config,
                                      std::chrono::seconds limit) -> Checked<std::chrono::seconds> {
      helper_.push_back(fmt::format("try {} {}", socket, limit.count()));
      captured_ = config;
      if (!helper_answer_) return fail(helper_answer_.error());
      return is_confirmed_before_ ? std::chrono::seconds{0} : limit;
    };
    environment_.capture_confirm = [this](const std::string& socket) {
      helper_.push_back("confirm " + socket);
      return helper_answer_;
    };
    environment_.find_conflicts = [this] { return conflicts_; };
    environment_.count_uncaptured = [this](const capture_client::InterceptConfig&, std::uint32_t) {
      return Checked<std::size_t>(uncaptured_);
    };
    environment_.set_rollback = [this](bool on) {
      helper_.push_back(on ? "timer on" : "timer off");
      return rollback_;
    };
    environment_.capture_off = [this](const std::string& socket) {
      helper_.push_back("off " + socket);
      return helper_answer_;
    };
    environment_.capture_status = [this](const std::string&) {
      return Checked<capture_client::Status>(status_);
    };
    environment_.capture_plan = [](const capture_client::InterceptConfig& config,
                                   const std::string& /*backend*/) {
      return Checked<std::string>(fmt::format("table with {} ports\n", config.inbound.size()));
    };
    environment_.exec = [this](const std::string& path, const std::vector<std::string>& arguments) {
      executed_ = arguments;
      executed_.insert(executed_.begin(), path);
      return Error{Errc::not_found, ENOENT, "exec"};
    };
    environment_.daemon = [this](const DaemonOptions& options) {
      daemon_file_ = options.config_file;
      return 0;
    };
  }

  int run(std::vector<const char*> arguments) {
    return cli::run(static_cast<int>(arguments.size()), arguments.data(), environment_);
  }

  void answer(int status, std::string body) { answer_ = AdminAnswer{status, std::move(body)}; }

  std::ostringstream out_;
  std::ostringstream err_;
  Environment environment_;
  Result<AdminAnswer> answer_ = AdminAnswer{200, "{}"};
  Checked<void> helper_answer_;
  Checked<bool> rollback_ = true;
  Checked<std::vector<Diagnostic>> conflicts_;
  std::size_t uncaptured_ = 0;
  bool is_confirmed_before_ = false;
  capture_client::Status status_;
  capture_client::InterceptConfig captured_;
  std::string config_text_ =
      "[host]\ntrust_domain = \"a\"\n[[service]]\nname = \"s\"\nport = 80\nmode = \"permissive\"\n";
  std::vector<std::string> asked_, loaded_, helper_, executed_;
  std::string daemon_file_;
};

inline constexpr const char* kAsked = "/run/mooring/admin.sock ";

}  // namespace mooring::cli
