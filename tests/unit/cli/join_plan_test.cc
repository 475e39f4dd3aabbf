#include "cli/join_plan.h"

#include <gmock/gmock.h>

#include "config/load.h"

namespace mooring::cli {
namespace {

using transparent_proxy::Bounds;
using transparent_proxy::parse_bounds;

config::ControlPlane control_plane() {
  config::ControlPlane plane;
  plane.addresses = {{"cp.test", 5678}, {"fd00::5", 15678}};
  plane.ca_file = "/etc/mooring/control-plane/ca.pem";
  plane.token_file = "/etc/mooring/control-plane/token";
  plane.mesh = "shop";
  plane.name = "web-1";
  plane.workload = "web";
  return plane;
}

TEST(RenderSettings, IsReadBackAsItWas) {
  config::ControlPlane plane = control_plane();
  plane.address = *parse_ip("10.0.0.5");
  plane.proxy = config::ControlPlaneProxy{"fd00::9", 3128, "me:p\"w\\d"};
  const auto parsed = config::parse({{"10.toml", render_settings(plane, true)}});
  ASSERT_TRUE(parsed) << describe(parsed.error().front());
  EXPECT_EQ(parsed->control_plane, plane);
  EXPECT_TRUE(parsed->capture.enabled);
  plane.address.reset();
  plane.dataplane_file = "/etc/mooring/control-plane/dataplane.yaml";
  const auto with_file = config::parse({{"10.toml", render_settings(plane, false)}});
  ASSERT_TRUE(with_file) << describe(with_file.error().front());
  EXPECT_EQ(with_file->control_plane, plane);
  EXPECT_FALSE(with_file->capture.enabled);
}

app::Dataplane serving(std::vector<std::uint16_t> ports) {
  app::Dataplane dataplane;
  for (const std::uint16_t port : ports)
    dataplane.inbound.push_back({"", port, {}, "tcp"});
  return dataplane;
}

TEST(WidenBounds, AllowsThePortsAndTheAddressesOfTheMesh) {
  const Bounds bounds = widen_bounds({}, serving({8080, 5432}));
  EXPECT_EQ(
      render_bounds(bounds),
      "# Written by `mooring join`: what the agent, and so the control plane, may have "
      "captured on this host.\n[inbound]\nports = [8080, 5432]\n[outbound]\naddresses = "
      "[\"240.0.0.0/4\"]\nports = [\"1-65535\"]\nrefuse_other = false\nredirect_dns = true\n");
  EXPECT_EQ(parse_bounds(render_bounds(bounds), "x"), bounds);
}

TEST(WidenBounds, KeepsWhatWasAllowedAndIsStableThen) {
  const Bounds present = *parse_bounds(
      "[inbound]\nports = [\"8000-8099\", 22000]\nstay_closed = [8080]\n[outbound]\naddresses = "
      "[\"10.0.0.0/8\"]\nports = [5432]\nrefuse_other = true\n",
      "x");
  const Bounds wider = widen_bounds(present, serving({8080, 5432}));
  EXPECT_EQ(wider,
            parse_bounds("[inbound]\nports = [\"8000-8099\", 22000, 5432]\nstay_closed = [8080]\n"
                         "[outbound]\naddresses = [\"10.0.0.0/8\", \"240.0.0.0/4\"]\nports = "
                         "[\"1-65535\"]\nrefuse_other = true\nredirect_dns = true\n",
                         "x"));
  EXPECT_EQ(widen_bounds(wider, serving({8080, 5432})), wider);
  EXPECT_EQ(parse_bounds(render_bounds(wider), "x"), wider);
}

TEST(JoinPaths, LieBesideTheConfiguration) {
  const JoinPaths paths("/etc/mooring/agent.toml");
  EXPECT_EQ(paths.settings, "/etc/mooring/conf.d/10-control-plane.toml");
  EXPECT_EQ(paths.token_file, "/etc/mooring/control-plane/token");
  EXPECT_EQ(paths.bounds, "/etc/mooring/capture.toml");
}

}  // namespace
}  // namespace mooring::cli
