#include "transparent-proxy/nft_runner.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <malloc.h>
#include <sys/socket.h>

#include <cstdint>
#include <set>
#include <utility>

#include "transparent-proxy/command.h"

namespace mooring::transparent_proxy {

namespace {

struct nft_ctx;                                   // opaque, libnftables(3)
constexpr unsigned kNumericPriorities = 1U << 8;  // NFT_CTX_OUTPUT_NUMERIC_PRIO

// The functions of libnftables(3) that we use; declared here because the library may be absent at
// build time.
struct Library {
  nft_ctx* (*create)(std::uint32_t) = nullptr;
  void (*destroy)(nft_ctx*) = nullptr;
  int (*buffer_output)(nft_ctx*) = nullptr;
  int (*buffer_error)(nft_ctx*) = nullptr;
  const char* (*get_output)(nft_ctx*) = nullptr;
  const char* (*get_error)(nft_ctx*) = nullptr;
  void (*set_output_flags)(nft_ctx*, unsigned) = nullptr;
  void (*set_dry_run)(nft_ctx*, bool) = nullptr;
  int (*run)(nft_ctx*, const char*) = nullptr;
};

template <class F>
bool load(void* handle, const char* name, F& function) {
  function = reinterpret_cast<F>(::dlsym(handle, name));
  return function != nullptr;
}

const Library* library() {
  static const auto loaded = []() -> std::pair<bool, Library> {
    Library lib;
    void* handle = ::dlopen("libnftables.so.1", RTLD_NOW | RTLD_LOCAL);
    const bool is_complete = handle != nullptr && load(handle, "nft_ctx_new", lib.create) &&
                             load(handle, "nft_ctx_free", lib.destroy) &&
                             load(handle, "nft_ctx_buffer_output", lib.buffer_output) &&
                             load(handle, "nft_ctx_buffer_error", lib.buffer_error) &&
                             load(handle, "nft_ctx_get_output_buffer", lib.get_output) &&
                             load(handle, "nft_ctx_get_error_buffer", lib.get_error) &&
                             load(handle, "nft_ctx_output_set_flags", lib.set_output_flags) &&
                             load(handle, "nft_ctx_set_dry_run", lib.set_dry_run) &&
                             load(handle, "nft_run_cmd_from_buffer", lib.run);
    return {is_complete, lib};
  }();
  return loaded.first ? &loaded.second : nullptr;
}

// Not by /proc/self/fd, which may be closed to us. The helper has a few dozen descriptors.
std::set<int> open_descriptors() {
  constexpr int kHighest = 1024;
  std::set<int> found;
  for (int fd = 0; fd < kHighest; ++fd) {
    if (::fcntl(fd, F_GETFD) >= 0) found.insert(fd);
  }
  return found;
}

bool is_netlink(int fd) {
  int domain = 0;
  socklen_t size = sizeof domain;
  return ::getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) == 0 && domain == AF_NETLINK;
}

class Context {
 public:
  explicit Context(const Library& lib) : lib_(lib) {
    const std::set<int> before = open_descriptors();
    context_ = lib_.create(0);
    // The library does not tell its socket: it is the one that was not there before.
    for (const int fd : open_descriptors()) {
      if (!before.contains(fd) && is_netlink(fd)) fd_ = fd;
    }
    lib_.buffer_output(context_);
    lib_.buffer_error(context_);
  }
  ~Context() { lib_.destroy(context_); }
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;

  Checked<std::string> run(const std::string& commands, unsigned flags, bool is_dry = false) {
    lib_.set_output_flags(context_, flags);
    lib_.set_dry_run(context_, is_dry);
    const int result = lib_.run(context_, commands.c_str());
    std::string out = text(lib_.get_output(context_));
    const std::string error = text(lib_.get_error(context_));
    forget_rules();
    if (result == 0) return out;
    return fail(Diagnostic{"nftables", error.substr(0, error.find('\n')), ""});
  }
  [[nodiscard]] int fd() const noexcept { return fd_; }

 private:
  static std::string text(const char* value) { return value == nullptr ? "" : value; }

  // Half a megabyte for each table, until a dry run: the library keeps what it has read of the
  // kernel's rules. This program sleeps for days between two runs.
  void forget_rules() {
    lib_.set_dry_run(context_, true);
    lib_.run(context_, "");
    ::malloc_trim(0);
  }

  const Library& lib_;
  nft_ctx* context_ = nullptr;
  int fd_ = -1;
};

class LibraryRunner : public NftRunner {
 public:
  explicit LibraryRunner(const Library& lib) : write_(lib), read_(lib) {}

  Checked<void> run(const std::string& commands) override {
    auto done = write_.run(commands, 0);
    if (!done) return fail(done.error());
    return {};
  }
  Checked<void> check(const std::string& commands) override {
    auto done = write_.run(commands, 0, true);
    if (!done) return fail(done.error());
    return {};
  }
  Checked<std::string> list(const std::string& command) override {
    return read_.run(command, kNumericPriorities);
  }
  [[nodiscard]] int owner_fd() const noexcept override { return write_.fd(); }

 private:
  // Two sockets: a copy of the writing one is given away, and whoever reads from that copy must not
  // starve us.
  Context write_;
  Context read_;
};

class ProgramRunner : public NftRunner {
 public:
  Checked<void> run(const std::string& commands) override {
    auto done = run_or_complain({"nft", "-f", "-"}, commands);
    if (!done) return fail(done.error());
    return {};
  }
  Checked<void> check(const std::string& commands) override {
    auto done = run_or_complain({"nft", "-c", "-f", "-"}, commands);
    if (!done) return fail(done.error());
    return {};
  }
  Checked<std::string> list(const std::string& command) override {
    return run_or_complain({"nft", "-y", command}, "");
  }
  [[nodiscard]] int owner_fd() const noexcept override { return -1; }
};

}  // namespace

Checked<std::unique_ptr<NftRunner>> make_library_runner() {
  const Library* lib = library();
  if (lib == nullptr) return fail(Diagnostic{"libnftables.so.1", "cannot be loaded", ""});
  return std::make_unique<LibraryRunner>(*lib);
}

Checked<std::unique_ptr<NftRunner>> make_program_runner() {
  if (find_program("nft").empty()) return fail(Diagnostic{"nft", "is not installed", ""});
  return std::make_unique<ProgramRunner>();
}

}  // namespace mooring::transparent_proxy
