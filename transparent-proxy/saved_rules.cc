#include "transparent-proxy/saved_rules.h"

#include <filesystem>
#include <system_error>

#include "core/file.h"

namespace mooring::transparent_proxy {

namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMaxFileBytes = std::size_t{1024} * 1024;
constexpr int kMaxFiles = 64;

}  // namespace

std::string saved_nft_rules() {
  std::string text;
  const auto add = [&](const std::string& path) {
    text += read_file(path, kMaxFileBytes).value_or(std::string());
  };
  for (const char* file :
       {"/etc/nftables.conf", "/etc/nftables.rules", "/etc/sysconfig/nftables.conf"})
    add(file);
  for (const char* folder : {"/etc/nftables", "/etc/nftables.d"}) {
    std::error_code ignored;
    int left = kMaxFiles;
    for (fs::directory_iterator at(folder, ignored), end; !ignored && at != end && left > 0;
         at.increment(ignored), --left)
      add(at->path().string());
  }
  return text;
}

}  // namespace mooring::transparent_proxy
