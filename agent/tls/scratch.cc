#include "tls/scratch.h"

#include <algorithm>
#include <cstring>

namespace mooring::tls {

namespace {

Scratch::Impl& owner(BIO* bio) noexcept {
  return *static_cast<Scratch::Impl*>(BIO_get_data(bio));
}

int on_read(BIO* bio, char* to, std::size_t room, std::size_t* got) noexcept {
  Bytes& input = owner(bio).input;
  BIO_clear_retry_flags(bio);
  if (input.empty()) {
    BIO_set_retry_read(bio);
    return 0;
  }
  *got = std::min(room, input.size());
  std::memcpy(to, input.data(), *got);
  input = input.subspan(*got);
  return 1;
}

int on_write(BIO* bio, const char* from, std::size_t count, std::size_t* put) noexcept {
  Scratch::Impl& scratch = owner(bio);
  BIO_clear_retry_flags(bio);
  // Only a peer that floods us with what needs answers gets here: the session fails.
  if (count > Scratch::Impl::kOutArea - scratch.out_bytes) return 0;
  std::memcpy(scratch.out.get() + scratch.out_bytes, from, count);
  scratch.out_bytes += count;
  *put = count;
  return 1;
}

long on_control(BIO*, int command, long, void*) noexcept {
  return command == BIO_CTRL_FLUSH ? 1 : 0;
}

// One for the process; libssl keeps pointers to it, so it is never freed.
const BIO_METHOD* method() {
  static BIO_METHOD* const shared = [] {
    BIO_METHOD* made = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "scratch");
    AGENT_CHECK(made != nullptr);
    BIO_meth_set_read_ex(made, on_read);
    BIO_meth_set_write_ex(made, on_write);
    BIO_meth_set_ctrl(made, on_control);
    return made;
  }();
  return shared;
}

}  // namespace

Scratch::Impl::Impl()
    : plain(new std::byte[kPlainArea]),  // make_unique would clear it
      out(new std::byte[kOutArea]),
      bio(BIO_new(method())),
      sha256(EVP_MD_fetch(nullptr, "SHA2-256", nullptr)),
      digest(EVP_MD_CTX_new()) {
  AGENT_CHECK(bio && sha256 && digest);
  BIO_set_data(bio.get(), this);
  BIO_set_init(bio.get(), 1);
}

Scratch::Scratch() {
  identity::prepare_library();
  impl_ = std::make_unique<Impl>();
}
Scratch::~Scratch() = default;

}  // namespace mooring::tls
