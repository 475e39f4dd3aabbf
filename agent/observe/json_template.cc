// Access-log lines in Envoy's json_format.
#include <nlohmann/json.hpp>

#include "observe/log_commands.h"
#include "observe/log_format.h"

namespace mooring::observe {

namespace {

constexpr std::size_t kMaxDepth = 16;

std::string dump_json(const nlohmann::json& value) {
  return value.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace

bool LogTemplate::is_single() const noexcept {
  return parts_.size() == 1 && parts_.front().command != nullptr;
}

void LogTemplate::append_json(const AccessRecord& record, std::string& out) const {
  const std::string value = format(record, "");
  if (value.empty()) {
    out += "null";
  } else if (is_number(*parts_.front().command)) {
    out += value;
  } else {
    out += dump_json(value);
  }
}

class JsonTemplateParser {
 public:
  using Kind = JsonTemplate::Kind;
  using Node = JsonTemplate::Node;

  static Checked<Node> parse(const nlohmann::json& value, std::size_t depth) {
    if (depth > kMaxDepth) return fail(Diagnostic{"access log format", "is nested too deep", ""});
    if (value.is_string()) return parse_text(value.get<std::string>());
    Node node;
    if (!value.is_structured()) {
      node.kind = value.is_null() ? Kind::null : Kind::literal;
      node.literal = dump_json(value);
      return node;
    }
    node.kind = value.is_object() ? Kind::object : Kind::list;
    for (const auto& [key, element] : value.items()) {
      auto child = parse(element, depth + 1);
      if (!child) return child;
      if (value.is_object()) child->key = dump_json(key);
      node.children.push_back(std::move(*child));
    }
    return node;
  }

 private:
  static Checked<Node> parse_text(const std::string& text) {
    auto parsed = LogTemplate::parse(text);
    if (!parsed) return fail(parsed.error());
    Node node;
    node.kind = Kind::text;
    node.text = std::move(*parsed);
    return node;
  }
};

Checked<JsonTemplate> JsonTemplate::parse(std::string_view json) {
  const auto value = nlohmann::json::parse(json, nullptr, false);
  if (value.is_discarded()) return fail(Diagnostic{"access log format", "is no JSON", ""});
  auto root = JsonTemplateParser::parse(value, 0);
  if (!root) return fail(root.error());
  JsonTemplate out;
  out.root_ = std::move(*root);
  return out;
}

/// False: nothing was appended.
bool JsonTemplate::append(const Node& node,
                          const AccessRecord& record,
                          bool omits_empty,
                          std::string& out) {
  const std::size_t before = out.size();
  switch (node.kind) {
    case Kind::null:
      if (omits_empty) return false;
      [[fallthrough]];
    case Kind::literal:
      out += node.literal;
      return true;
    case Kind::text:
      if (!node.text.is_single()) {
        out += dump_json(node.text.format(record, omits_empty ? "" : "-"));
        return true;
      }
      node.text.append_json(record, out);
      if (!omits_empty || std::string_view(out).substr(before) != "null") return true;
      out.resize(before);
      return false;
    case Kind::object:
    case Kind::list:
      break;
  }
  const bool is_object = node.kind == Kind::object;
  out += is_object ? '{' : '[';
  const std::size_t begin = out.size();
  for (const Node& child : node.children) {
    const std::size_t mark = out.size();
    if (mark != begin) out += ',';
    if (is_object) out += child.key + ':';
    if (!append(child, record, omits_empty, out)) out.resize(mark);
  }
  if (is_object && omits_empty && out.size() == begin && !node.children.empty()) {
    out.resize(before);
    return false;
  }
  out += is_object ? '}' : ']';
  return true;
}

std::string JsonTemplate::format(const AccessRecord& record, bool omits_empty) const {
  std::string line;
  if (!append(root_, record, omits_empty, line)) return "{}";
  return line.size() > kMaxLineBytes ? "null" : line;
}

}  // namespace mooring::observe
