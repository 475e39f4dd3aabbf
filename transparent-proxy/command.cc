#include "transparent-proxy/command.h"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>

#include <fmt/format.h>

#include "core/fd.h"

namespace mooring::transparent_proxy {

namespace {

constexpr std::chrono::seconds kTimeLimit{10};
constexpr std::size_t kMaxOutputBytes = std::size_t{8} * 1024 * 1024;

struct Pipe {
  UniqueFd read;
  UniqueFd write;
};

bool make_pipe(Pipe& pipe) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return false;
  pipe.read.reset(ends[0]);
  pipe.write.reset(ends[1]);
  return true;
}

tl::unexpected<Diagnostic> broken(const std::string& program, const std::string& message) {
  return fail(Diagnostic{program, message, ""});
}

void feed(UniqueFd& in, std::string_view& input) {
  const ssize_t put = ::write(in.get(), input.data(), input.size());
  if (put > 0) input.remove_prefix(static_cast<std::size_t>(put));
  const bool is_broken = put < 0 && errno != EAGAIN && errno != EINTR;
  if (input.empty() || is_broken) in.reset();
}

void drain(UniqueFd& from, std::string& into) {
  char block[16384];
  const ssize_t got = ::read(from.get(), block, sizeof block);
  if (got > 0 && into.size() < kMaxOutputBytes) {
    into.append(block, static_cast<std::size_t>(got));
  }
  if (got == 0 || (got < 0 && errno != EINTR)) from.reset();
}

// Feeds and drains the three pipes until both outputs end. False: the time is over.
bool talk(
    UniqueFd& in, UniqueFd& out, UniqueFd& err, std::string_view input, CommandOutput& result) {
  using std::chrono::milliseconds;
  const auto end = std::chrono::steady_clock::now() + kTimeLimit;
  if (input.empty()) in.reset();
  while (out.valid() || err.valid()) {
    const auto left =
        std::chrono::duration_cast<milliseconds>(end - std::chrono::steady_clock::now());
    if (left.count() <= 0) return false;
    // A descriptor of -1 is left out by poll(2).
    std::array<pollfd, 3> ready{
        {{in.get(), POLLOUT, 0}, {out.get(), POLLIN, 0}, {err.get(), POLLIN, 0}}};
    ::poll(ready.data(), ready.size(), static_cast<int>(left.count()));
    if (ready[0].revents != 0) feed(in, input);
    if (ready[1].revents != 0) drain(out, result.out);
    if (ready[2].revents != 0) drain(err, result.err);
  }
  return true;
}

// Returns 0 or the errno of posix_spawn(3).
int spawn(const std::string& program,
          const std::vector<std::string>& argv,
          const std::array<int, 3>& standard,
          pid_t& pid) {
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  for (int fd = 0; fd < 3; ++fd) {
    ::posix_spawn_file_actions_adddup2(&actions, standard[static_cast<std::size_t>(fd)], fd);
  }
  std::vector<char*> words;
  words.reserve(argv.size() + 1);
  for (const std::string& word : argv) {
    words.push_back(const_cast<char*>(word.c_str()));
  }
  words.push_back(nullptr);
  const int started =
      ::posix_spawn(&pid, program.c_str(), &actions, nullptr, words.data(), environ);
  ::posix_spawn_file_actions_destroy(&actions);
  return started;
}

int wait_for(pid_t pid) {
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

}  // namespace

std::string find_program(const std::string& name) {
  for (const char* folder : {"/usr/sbin/", "/sbin/", "/usr/bin/", "/bin/", "/usr/local/sbin/"}) {
    const std::string path = folder + name;
    if (::access(path.c_str(), X_OK) == 0) return path;
  }
  return {};
}

Checked<CommandOutput> run_command(const std::vector<std::string>& argv, std::string_view input) {
  AGENT_CHECK(!argv.empty());
  const std::string program = find_program(argv.front());
  if (program.empty()) return broken(argv.front(), "is not installed");
  Pipe in;
  Pipe out;
  Pipe err;
  if (!make_pipe(in) || !make_pipe(out) || !make_pipe(err)) {
    return broken(program, "no descriptors left");
  }
  ::fcntl(in.write.get(), F_SETFL, O_NONBLOCK);
  pid_t pid = -1;
  const int problem = spawn(program, argv, {in.read.get(), out.write.get(), err.write.get()}, pid);
  if (problem != 0) return broken(program, describe(error_from_errno(problem, "posix_spawn")));
  in.read.reset();
  out.write.reset();
  err.write.reset();

  CommandOutput result;
  const bool is_done = talk(in.write, out.read, err.read, input, result);
  if (!is_done) ::kill(pid, SIGKILL);
  result.exit_code = wait_for(pid);
  if (!is_done) return broken(program, fmt::format("did not end within {} s", kTimeLimit.count()));
  return result;
}

Checked<std::string> run_or_complain(const std::vector<std::string>& argv, std::string_view input) {
  auto output = run_command(argv, input);
  if (!output) return fail(output.error());
  if (output->exit_code == 0) return std::move(output->out);
  const std::string line = output->err.substr(0, output->err.find('\n'));
  return broken(argv.front(),
                line.empty() ? fmt::format("ended with code {}", output->exit_code) : line);
}

}  // namespace mooring::transparent_proxy
