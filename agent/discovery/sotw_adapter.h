// State-of-the-world ADS behind the session of delta ADS: what that asks is put as the other
// protocol asks it, and what comes is put as that expects it. Values in, values out; lives as long
// as its stream.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "discovery/delta_session.h"
#include "discovery/sotw_codec.h"

namespace mooring::discovery {

class SotwAdapter {
 public:
  /// `known`: names of what this host has of clusters or listeners, refused ones among them.
  explicit SotwAdapter(std::function<std::set<std::string>(ResourceKind)> known)
      : known_(std::move(known)) {}

  /// None: nothing is to be said now. A refusal of what was refused already waits in take_held(): a
  /// server that sends a version again as soon as it was refused would otherwise do so without end.
  /// A type that nobody asked for is not answered, as by Envoy: any request would ask for it.
  [[nodiscard]] std::optional<SotwRequest> request(const DeltaRequest& request);
  /// All clusters or listeners are in a response: what is known and not there is removed. Not if
  /// something is there whose name cannot be read.
  [[nodiscard]] DeltaResponse response(SotwResponse response);

  [[nodiscard]] std::vector<SotwRequest> take_held();

 private:
  struct Type {
    std::set<std::string> names;
    std::string taken;    // version
    std::string offered;  // version of the last response
    std::string refused;  // version of the last response that was refused
    std::string nonce;    // of the last response
    bool is_unanswered = false;
  };
  std::function<std::set<std::string>(ResourceKind)> known_;
  std::map<std::string, Type> types_;  // by URL; those that were asked for
  std::map<std::string, SotwRequest> held_;
};

}  // namespace mooring::discovery
