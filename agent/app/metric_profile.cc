#include "app/metric_profile.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "discovery/json.h"
#include "snapshot/regexes.h"

namespace mooring::app {

namespace {

using discovery::at;
using discovery::text_at;
using Json = nlohmann::json;
using snapshot::Regexes;
using snapshot::StringMatcher;
using Selectors = std::vector<StringMatcher>;

struct Profile {
  bool takes_all = true;
  Selectors exclude, include;
  Regexes regexes;

  [[nodiscard]] bool is_any(const Selectors& selectors, std::string_view metric) const {
    return std::any_of(selectors.begin(), selectors.end(), [&](const StringMatcher& each) {
      return matches(each, metric, &regexes);
    });
  }
};

tl::unexpected<Diagnostic> broken(std::string message) {
  return fail(Diagnostic{"/meshmetric", "profiles: " + std::move(message), ""});
}

Checked<StringMatcher> selector_of(const Json& json, Regexes& regexes) {
  using Kind = StringMatcher::Kind;
  constexpr std::pair<std::string_view, Kind> kKinds[] = {{"Prefix", Kind::prefix},
                                                          {"Regex", Kind::safe_regex},
                                                          {"Exact", Kind::exact},
                                                          {"Contains", Kind::contains}};
  const std::string type = text_at(json, "type");
  const auto* kind = std::find_if(
      std::begin(kKinds), std::end(kKinds), [&](const auto& each) { return each.first == type; });
  StringMatcher selector{.text = text_at(json, "match")};
  if (kind == std::end(kKinds) || selector.text.empty())
    return broken("a selector has a type and a match");
  if (selector.text.size() > Regexes::kMaxPatternBytes) return broken("a selector is too long");
  selector.kind = kind->second;
  if (selector.kind != Kind::safe_regex) return selector;
  selector.text = "(?s:.*)(?:" + selector.text + ")(?s:.*)";  // Kuma's finds a part
  if (auto added = regexes.add(selector.text); !added) return broken(added.error().message);
  return selector;
}

Checked<Selectors> selectors_of(const Json& list, Regexes& regexes) {
  Selectors selectors;
  if (list.is_null()) return selectors;
  if (!list.is_array() || list.size() > kMaxMetricSelectors)
    return broken(fmt::format("a list of at most {} selectors is wanted", kMaxMetricSelectors));
  for (const Json& each : list) {
    auto selector = selector_of(each, regexes);
    if (!selector) return tl::unexpected(selector.error());
    selectors.push_back(std::move(*selector));
  }
  return selectors;
}

bool is_none(const Json& appended) {
  return appended.is_array() && !appended.empty() &&
         std::all_of(appended.begin(), appended.end(), [](const Json& each) {
           return text_at(each, "name") == "None";
         });
}

}  // namespace

Checked<std::function<bool(std::string_view metric)>> read_metric_profile(const Json& sidecar) {
  using Wants = std::function<bool(std::string_view)>;
  const Json& profiles = at(sidecar, "profiles");
  const auto profile = std::make_shared<Profile>();
  profile->takes_all = !is_none(at(profiles, "appendProfiles"));
  auto exclude = selectors_of(at(profiles, "exclude"), profile->regexes);
  if (!exclude) return tl::unexpected(exclude.error());
  auto include = selectors_of(at(profiles, "include"), profile->regexes);
  if (!include) return tl::unexpected(include.error());
  profile->exclude = std::move(*exclude);
  profile->include = std::move(*include);
  if (profile->takes_all && profile->exclude.empty()) return Wants{};
  return Wants([profile](std::string_view metric) {
    if (profile->is_any(profile->include, metric)) return true;
    return profile->takes_all && !profile->is_any(profile->exclude, metric);
  });
}

}  // namespace mooring::app
