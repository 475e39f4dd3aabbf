#include <llhttp.h>

#include <string_view>
#include <utility>

#include "core/ascii.h"
#include "http/h1_codec.h"

namespace mooring::http {

namespace {

/// What the callbacks of one parse_response() fill in.
struct Answer {
  Response response;
  std::string field;
  std::string value;
  bool is_complete = false;
  bool to_head = false;
};

Answer& answer_of(llhttp_t* parser) {
  return *static_cast<Answer*>(parser->data);
}

int on_field_end(llhttp_t* parser) noexcept {
  Answer& answer = answer_of(parser);
  answer.field = lower_ascii(std::move(answer.field));
  if (answer.field == "content-type") answer.response.content_type = answer.value;
  answer.response.headers.push_back({std::move(answer.field), std::move(answer.value)});
  answer.field.clear();
  answer.value.clear();
  return 0;
}

llhttp_settings_t make_settings() {
  llhttp_settings_t settings;
  llhttp_settings_init(&settings);
  settings.on_header_field = [](llhttp_t* p, const char* at, std::size_t size) noexcept {
    answer_of(p).field.append(at, size);
    return 0;
  };
  settings.on_header_value = [](llhttp_t* p, const char* at, std::size_t size) noexcept {
    answer_of(p).value.append(at, size);
    return 0;
  };
  settings.on_header_value_complete = on_field_end;
  settings.on_headers_complete = [](llhttp_t* p) noexcept { return answer_of(p).to_head ? 1 : 0; };
  settings.on_body = [](llhttp_t* p, const char* at, std::size_t size) noexcept {
    answer_of(p).response.body.append(at, size);
    return 0;
  };
  settings.on_message_complete = [](llhttp_t* p) noexcept -> int {
    answer_of(p).is_complete = true;
    return HPE_PAUSED;
  };
  return settings;
}

}  // namespace

Result<Response> parse_response(std::string_view whole, bool to_head_request) {
  const llhttp_settings_t settings = make_settings();
  Answer answer;
  answer.to_head = to_head_request;
  llhttp_t parser;
  llhttp_init(&parser, HTTP_RESPONSE, &settings);
  parser.data = &answer;
  const llhttp_errno_t code = llhttp_execute(&parser, whole.data(), whole.size());
  if (code == HPE_OK) llhttp_finish(&parser);
  if (code != HPE_OK && code != HPE_PAUSED) return fail(Errc::bad_input, "parse_response");
  if (!answer.is_complete) return fail(Errc::truncated, "parse_response");
  answer.response.status = parser.status_code;
  return std::move(answer.response);
}

}  // namespace mooring::http
