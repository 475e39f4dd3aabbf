// The agent loads no configuration of the host: all tests of this program run under one that would
// break them. Set before main(), as the library reads it once.
#include <cstdlib>

namespace {

[[maybe_unused]] const int kHostile =
    ::setenv("OPENSSL_CONF", MOORING_SOURCE_DIR "/tests/unit/tls/hostile_openssl.cnf", 1);

}  // namespace
