// mooring and mooringd: one program, two names.
#include "app/agent.h"
#include "app/name_watch.h"
#include "cli/cli.h"

int main(int argc, char** argv) {
  mooring::cli::Environment environment = mooring::cli::make_environment();
  environment.resolve = mooring::app::resolve_now;
  environment.check_files = mooring::app::check_files;
  environment.daemon = [](const mooring::cli::DaemonOptions& options) {
    return mooring::app::run_daemon(options.config_file);
  };
  return mooring::cli::run(argc, argv, environment);
}
