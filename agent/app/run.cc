#include <fmt/format.h>

#include <iostream>

#include "app/agent.h"
#include "app/process.h"
#include "app/reload.h"
#include "config/load.h"
#include "core/log.h"
#include "tls/fips.h"

namespace mooring::app {

namespace {

constexpr int kFailed = 1;
constexpr int kBadConfig = 78;  // EX_CONFIG of sysexits.h: systemd does not restart for it

int complain(const std::string& text, int exit_code) {
  std::cerr << text << '\n';
  return exit_code;
}

}  // namespace

int run_daemon(const std::string& config_file) {
  prepare_process();
  const tls::FipsFacts fips = tls::read_fips_facts();
  if (const auto refusal = tls::refuse_on_fips_host(fips))
    return complain(describe(*refusal), kBadConfig);
  auto config = config::load(config_file);
  if (!config) return complain(lines(config.error()), kBadConfig);
  if (const auto started = log::start(config->logging.file, config->logging.level); !started) {
    return complain(fmt::format("{}: {}", config->logging.file, describe(started.error())),
                    kFailed);
  }
  if (tls::is_fips_host(fips) && fips.is_bundled) {
    log::warn("the host is in FIPS mode, and {} lets an OpenSSL serve that is not validated",
              tls::kAllowNonFips);
  }
  int exit_code = 0;
  if (auto agent = Agent::build(config_file, std::move(*config))) {
    (*agent)->run();
  } else {
    log::error("cannot start: {}", describe(agent.error()));
    exit_code = kFailed;
  }
  log::stop();
  return exit_code;
}

std::vector<Diagnostic> check_files(const config::AgentConfig& config) {
  const auto files = identity_files(config);
  if (!files) return {};
  const auto material = identity::load_material(*files);
  return material ? std::vector<Diagnostic>{} : std::vector<Diagnostic>{material.error()};
}

}  // namespace mooring::app
