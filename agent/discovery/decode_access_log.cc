// Access logs: envoy.config.accesslog.v3.
#include "discovery/decode_parts.h"
#include "observe/access_log.h"
#include "xdsapi/file_access_log.pb.h"

namespace mooring::discovery {

namespace {

constexpr int kMaxLogs = 16;
constexpr std::string_view kOpenTelemetry =
    "envoy.extensions.access_loggers.open_telemetry.v3.OpenTelemetryAccessLogConfig";

void decode_format(Reader& reader,
                   const core_v3::SubstitutionFormatString& message,
                   snapshot::AccessLog& out) {
  const In in(reader, "log_format", message);
  out.omit_empty_values = message.omit_empty_values();
  switch (message.format_case()) {
    case core_v3::SubstitutionFormatString::kJsonFormat:
      out.json_format = read_json(reader, "json_format", message.json_format());
      return;
    case core_v3::SubstitutionFormatString::kTextFormatSource:
      out.text_format =
          read_data(reader, "text_format_source", message.text_format_source(), kMaxTextBytes);
      return;
    case core_v3::SubstitutionFormatString::FORMAT_NOT_SET:
      reader.reject("", "has no format that this agent knows");
      return;
  }
}

snapshot::AccessLog decode_file(Reader& reader, const google::protobuf::Any& any) {
  envoy::extensions::access_loggers::file::v3::FileAccessLog message;
  snapshot::AccessLog out;
  const In config(reader, "typed_config", any);
  if (!reader.parse(any.value(), message)) return out;
  const In in(reader, "", message);
  out.path = read_name(reader, "path", message.path());
  if (message.has_log_format()) decode_format(reader, message.log_format(), out);
  if (!reader.ok()) return out;
  const auto fits =
      observe::check_sink({out.path, out.text_format, out.json_format, out.omit_empty_values});
  if (!fits) reader.reject("log_format", describe(fits.error()));
  return out;
}

}  // namespace

std::vector<snapshot::AccessLog> decode_access_logs(
    Reader& reader, const google::protobuf::RepeatedPtrField<accesslog_v3::AccessLog>& logs) {
  std::vector<snapshot::AccessLog> out;
  if (!reader.within("access_log", logs.size(), kMaxLogs)) return out;
  for (int i = 0; i < logs.size(); ++i) {
    const In in(reader, "access_log", i, logs[i]);
    const std::string_view type = type_name(logs[i].typed_config());
    if (logs[i].has_filter()) reader.reject("filter", "is not supported");
    if (type == "envoy.extensions.access_loggers.file.v3.FileAccessLog") {
      out.push_back(decode_file(reader, logs[i].typed_config()));
    } else if (type == kOpenTelemetry) {
      reader.warn("", "its lines are not sent: this agent does not speak OpenTelemetry");
    } else {
      reader.reject("typed_config", "is a logger that this agent does not have");
    }
  }
  return out;
}

}  // namespace mooring::discovery
