// The metrics in the forms of Envoy's /stats, as a control plane reads it.
#pragma once

#include <string>
#include <string_view>

namespace mooring::observe {

/// {"stats":[{"name":"cluster.web.upstream_cx_total","value":3}]} from a page of
/// render_prometheus(). Histograms are left out.
[[nodiscard]] std::string envoy_stats_json(std::string_view page);
/// The same as lines "cluster.web.upstream_cx_total: 3", in the order of their names.
[[nodiscard]] std::string envoy_stats_text(std::string_view page);

}  // namespace mooring::observe
