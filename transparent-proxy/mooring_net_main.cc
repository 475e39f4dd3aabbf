// mooring-net: the only part of Mooring with a capability. Turns capture plans into rules, watches
// and removes them.
#include "transparent-proxy/helper/run.h"

int main(int argc, char** argv) {
  return mooring::transparent_proxy::run_helper(argc, argv);
}
