#include "identity/svid_files.h"

#include <openssl/crypto.h>
#include <sys/stat.h>

#include <fmt/format.h>

#include "core/file.h"
#include "core/spiffe_text.h"

namespace mooring::identity {

namespace {

constexpr int kReadAttempts = 4;

std::int64_t to_ns(const timespec& time) noexcept {
  return static_cast<std::int64_t>(time.tv_sec) * 1'000'000'000 + time.tv_nsec;
}

FilesState::File look_at_file(const std::string& path) {
  struct stat info{};
  if (::stat(path.c_str(), &info) != 0) return {};
  return {info.st_dev, info.st_ino, info.st_size, to_ns(info.st_mtim), to_ns(info.st_ctim)};
}

Checked<std::string> read_pem(const std::string& path) {
  auto text = read_file(path, kMaxPemBytes);
  if (text) return std::move(*text);
  return fail(Diagnostic{
      path, "cannot be read: " + describe(text.error()), "the agent runs as its own user"});
}

// A key that everyone on the host can read proves nothing. A group may: that is how the agent's
// user gets at it.
Checked<void> check_key_mode(const std::string& path) {
  struct stat info{};
  if (::stat(path.c_str(), &info) != 0 || (info.st_mode & (S_IROTH | S_IWOTH)) == 0) return {};
  return fail(Diagnostic{
      path,
      fmt::format("the private key is open to every user (mode {:04o})", info.st_mode & 07777),
      "chmod 0640 or stricter"});
}

void forget(MaterialText& text) noexcept {
  OPENSSL_cleanse(text.key_pem.data(), text.key_pem.size());
  text = {};
}

Checked<void> read_all(const IdentityFiles& files, MaterialText& text) {
  const auto into = [](std::string& to, const std::string& path) -> Checked<void> {
    auto pem = read_pem(path);
    if (!pem) return fail(pem.error());
    to = std::move(*pem);
    return {};
  };
  if (auto done = into(text.svid_pem, files.svid); !done) return done;
  if (auto done = into(text.key_pem, files.key); !done) return done;
  for (const auto& [trust_domain, path] : files.federated) {
    if (auto done = into(text.bundle_pems[trust_domain], path); !done) return done;
  }
  return into(text.bundle_pems[files.trust_domain], files.bundle);
}

// build_material() names parts; a person wants the file.
Diagnostic with_file(Diagnostic diagnostic, const IdentityFiles& files) {
  constexpr std::string_view kBundle = "bundle ";
  if (diagnostic.path == "svid") {
    diagnostic.path = files.svid;
  } else if (diagnostic.path == "key") {
    diagnostic.path = files.key;
  } else if (diagnostic.path.starts_with(kBundle)) {
    const auto federated = files.federated.find(diagnostic.path.substr(kBundle.size()));
    diagnostic.path = federated == files.federated.end() ? files.bundle : federated->second;
  }
  return diagnostic;
}

Checked<MaterialPtr> load_once(const IdentityFiles& files, MaterialText& text) {
  if (auto mode = check_key_mode(files.key); !mode) return fail(mode.error());
  if (auto read = read_all(files, text); !read) return fail(read.error());
  auto material = build_material(text);
  if (!material) return fail(with_file(material.error(), files));
  if (spiffe_trust_domain((*material)->id()) != files.trust_domain) {
    return fail(Diagnostic{files.svid,
                           fmt::format("its identity {} is not of this host's trust domain \"{}\"",
                                       (*material)->id(),
                                       files.trust_domain),
                           {}});
  }
  return material;
}

}  // namespace

FilesState look_at(const IdentityFiles& files) {
  FilesState state;
  for (const std::string* path : {&files.svid, &files.key, &files.bundle})
    state.files.push_back(look_at_file(*path));
  for (const auto& [trust_domain, path] : files.federated)
    state.files.push_back(look_at_file(path));
  return state;
}

Checked<MaterialPtr> load_material(const IdentityFiles& files, MaterialText* wanted) {
  MaterialText text;
  const auto finish = [&](Checked<MaterialPtr> result) {
    if (result && wanted != nullptr) *wanted = std::move(text);
    forget(text);
    return result;
  };
  FilesState before = look_at(files);
  for (int attempt = 1;; ++attempt) {
    auto material = load_once(files, text);
    FilesState after = look_at(files);
    if (after == before) return finish(std::move(material));
    forget(text);
    if (attempt == kReadAttempts) {
      return fail(
          Diagnostic{files.svid, "the identity's files keep changing while they are read", {}});
    }
    before = std::move(after);
  }
}

}  // namespace mooring::identity
