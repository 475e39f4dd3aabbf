// A server of tests/support that a test talks to: a Python program of its own, which prints its
// port first.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

#include "core/fd.h"

extern char** environ;  // NOLINT(readability-redundant-declaration)

namespace mooring::test {

class ServerProcess {
 public:
  /// Arguments up to the first empty one.
  ServerProcess(const std::string& script, const std::vector<std::string>& arguments) {
    std::array<int, 2> ends{};
    EXPECT_EQ(::pipe2(ends.data(), O_CLOEXEC), 0);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
    std::vector<std::string> words{"/usr/bin/python3",
                                   MOORING_SOURCE_DIR "/tests/support/" + script};
    for (const std::string& argument : arguments) {
      if (argument.empty()) break;
      words.push_back(argument);
    }
    std::vector<char*> argv;
    for (std::string& word : words)
      argv.push_back(word.data());
    argv.push_back(nullptr);
    EXPECT_EQ(::posix_spawn(&pid_, argv[0], &actions, nullptr, argv.data(), environ), 0);
    posix_spawn_file_actions_destroy(&actions);
    ::close(ends[1]);
    out_ = UniqueFd(ends[0]);
    port_ = static_cast<std::uint16_t>(std::atoi(line().c_str()));
  }
  ~ServerProcess() {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
  ServerProcess(const ServerProcess&) = delete;
  ServerProcess& operator=(const ServerProcess&) = delete;

  std::string line() const {
    std::string text;
    char c = 0;
    while (::read(out_.get(), &c, 1) == 1 && c != '\n')
      text += c;
    return text;
  }
  std::uint16_t port() const { return port_; }
  void freeze() const { ::kill(pid_, SIGSTOP); }

 private:
  pid_t pid_ = -1;
  UniqueFd out_;
  std::uint16_t port_ = 0;
};

}  // namespace mooring::test
