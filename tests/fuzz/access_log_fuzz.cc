// Access-log templates from a configuration, and records whose text a peer chose. The input is cut
// at its first zero byte: template, then the text of every field.
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <variant>

#include "core/result.h"
#include "observe/log_format.h"
#include "observe/log_sinks.h"
#include "observe/why.h"

namespace {

using mooring::observe::AccessRecord;

AccessRecord record_of(std::string_view text) {
  AccessRecord record;
  const std::string owned(text);
  for (std::string* field : {&record.detail,
                             &record.listener,
                             &record.cluster,
                             &record.rule,
                             &record.shadow_rule,
                             &record.local_identity,
                             &record.peer_identity,
                             &record.tls_version,
                             &record.tls_cipher,
                             &record.sni}) {
    *field = owned;
  }
  const std::size_t choice = text.empty() ? 0 : static_cast<unsigned char>(text[0]);
  record.reason =
      static_cast<mooring::observe::CloseReason>(choice % mooring::observe::kCloseReasons);
  record.direction = choice % 2 == 0 ? mooring::observe::Direction::inbound
                                     : mooring::observe::Direction::outbound;
  return record;
}

bool is_printable(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c >= 0x20 && c < 0x7f; });
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const std::string_view pattern = input.substr(0, input.find('\0'));
  const std::string_view text = input.substr(std::min(input.size(), pattern.size() + 1));
  const AccessRecord record = record_of(text);

  if (const auto parsed = mooring::observe::LogTemplate::parse(pattern)) {
    const std::string line = parsed->format(record);
    AGENT_CHECK(line.size() <= mooring::observe::kMaxLineBytes);
    // What is not printable in the line must have stood in the template, which is the admin's.
    AGENT_CHECK(!is_printable(pattern) || is_printable(line));
  }
  const mooring::observe::LogSink sink{"/run/kuma-al-a-b.sock", "", std::string(pattern), true};
  if (const auto parsed = mooring::observe::ParsedSink::parse(sink)) {
    const std::string line = parsed->format(record);
    AGENT_CHECK(line.size() <= mooring::observe::kMaxLineBytes);
    if (const auto* json = std::get_if<mooring::observe::JsonTemplate>(&parsed->lines)) {
      AGENT_CHECK(nlohmann::json::accept(json->format(record, false)));
      AGENT_CHECK(nlohmann::json::accept(line));
    }
  }
  const std::string json = mooring::observe::format_json(record);
  AGENT_CHECK(is_printable(json));
  AGENT_CHECK(nlohmann::json::accept(json));
  const auto told = mooring::observe::explain(record);
  AGENT_CHECK(is_printable(told.who + told.whom + told.cause + told.remedy));
  return 0;
}
