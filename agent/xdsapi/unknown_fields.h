// The encoded fields that a message does not know. The lite runtime keeps them, and offers no way
// to them for proto3.
#pragma once

#include <google/protobuf/message_lite.h>

#include <string>

namespace mooring::xdsapi {

/// Derived to reach a protected member; never made.
class UnknownFields : public google::protobuf::MessageLite {
 public:
  /// Of the message itself, not of those in it; in wire format. Valid as long as the message.
  [[nodiscard]] static const std::string& of(const google::protobuf::MessageLite& message) {
    return (message.*&UnknownFields::_internal_metadata_)
        .unknown_fields<std::string>(google::protobuf::internal::GetEmptyString);
  }
};

}  // namespace mooring::xdsapi
