#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <sstream>

#include "core/log.h"
#include "samples.h"
#include "transparent-proxy/nft_rules.h"

namespace mooring::transparent_proxy {
namespace {

using testing::ElementsAre;

constexpr const char* kApplied = R"(table inet mooring_0123abcd_a {
  flags owner;
  chain outbound {
    type nat hook output priority -110; policy accept;
    meta skuid 998 return comment "the agent itself"
    ct state established accept
  }
}
)";

// The same as nft 1.0.6 lists it with numeric priorities.
constexpr const char* kListed = R"(table inet mooring_0123abcd_a { # progname mooring-net
	flags owner

	chain outbound {
		type nat hook output priority -110; policy accept;
		meta skuid 998 return comment "the agent itself"
		ct state established accept
	}
}
)";

std::string with(std::string text, const std::string& from, const std::string& to) {
  const std::size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return text.replace(at, from.size(), to);
}

TEST(ParseOurTables, TakesOnlyOurPrefix) {
  EXPECT_THAT(
      parse_our_tables(
          "table inet filter\ntable inet mooring_0123abcd_a\ntable ip6 mooring_x\nchain x\n"),
      ElementsAre(TableName{"inet", "mooring_0123abcd_a"}, TableName{"ip6", "mooring_x"}));
}

TEST(CompareListings, AcceptsWhatNftMakesOfIt) {
  EXPECT_TRUE(compare_listings(kListed, kApplied));
}

TEST(CompareListings, SeesEveryDifference) {
  EXPECT_FALSE(compare_listings("", kApplied));
  EXPECT_FALSE(compare_listings(with(kListed, "priority -110", "priority 0"), kApplied));
  EXPECT_FALSE(compare_listings(with(kListed, "hook output", "hook input"), kApplied));
  EXPECT_FALSE(compare_listings(with(kListed, "\t\tct state established accept\n", ""), kApplied));
  EXPECT_FALSE(
      compare_listings(with(kListed, "\t\tct state", "\t\taccept\n\t\tct state"), kApplied));
  EXPECT_FALSE(compare_listings(with(kListed, "the agent itself", "somebody"), kApplied));
  EXPECT_FALSE(compare_listings(with(kListed, "chain outbound", "chain other"), kApplied));
  EXPECT_FALSE(
      compare_listings(std::string(kListed) + "table inet x {\n\tchain y {\n\t}\n}\n", kApplied));
}

// ---- NftRules on a runner that keeps tables as text, as the kernel does

class FakeNft : public NftRunner {
 public:
  struct Kernel {
    std::map<std::string, std::string> tables;  // "inet name": its text
    std::vector<std::string> transactions;
    std::string untouchable;  // a table that is owned by somebody else
    bool refuses_all = false;
  };
  explicit FakeNft(Kernel& kernel) : kernel_(kernel) {}

  Checked<void> run(const std::string& commands) override {
    kernel_.transactions.push_back(commands);
    if (kernel_.refuses_all) return fail(Diagnostic{"nft", "no", ""});
    auto next = kernel_.tables;
    std::istringstream lines(commands);
    std::string name;
    for (std::string line; std::getline(lines, line);) {
      std::istringstream words(line);
      std::string first;
      std::string second;
      std::string third;
      std::string fourth;
      words >> first >> second >> third >> fourth;
      if (first == "delete") {
        if (fourth == kernel_.untouchable || next.erase(third + " " + fourth) == 0)
          return fail(Diagnostic{"nft", "not permitted", ""});
      } else {
        if (first == "table") name = second + " " + third;
        next[name] += line + "\n";
      }
    }
    kernel_.tables = next;
    return {};
  }
  Checked<void> check(const std::string&) override { return {}; }
  Checked<std::string> list(const std::string& command) override {
    std::string text;
    for (const auto& [name, content] : kernel_.tables) {
      if (command == "list tables") text += "table " + name + "\n";
      if (command == "list table " + name) return content;
    }
    if (command != "list tables") return fail(Diagnostic{"nft", "no such table", ""});
    return text;
  }
  [[nodiscard]] int owner_fd() const noexcept override { return 5; }

 private:
  Kernel& kernel_;
};

class NftRulesTest : public testing::Test {
 protected:
  void SetUp() override { log::set_level(log::Level::off); }
  std::vector<std::string> names() const {
    std::vector<std::string> found;
    for (const auto& [name, text] : kernel.tables)
      found.push_back(name);
    return found;
  }
  NftRules make() {
    return NftRules(
        std::make_unique<FakeNft>(kernel),
        {NftFamily::inet,
         true,
         "0123abcd",
         [this](std::uint16_t port) { return port == sample.outbound_port ? open_connections : 0; },
         [this] { return saved; }});
  }

  FakeNft::Kernel kernel;
  Plan sample = *plan(sample_config(), sample_facts());
  std::size_t open_connections = 0;
  std::string saved;  // in the firewall's file
};

TEST_F(NftRulesTest, MovesFromANameThatAFirewallsFileHas) {
  NftRules rules = make();
  ASSERT_TRUE(rules.capture(sample));
  EXPECT_FALSE(rules.is_name_saved());
  saved = "table inet filter {\n}\ntable inet mooring_0123abcd_a { # progname mooring-net\n";
  EXPECT_TRUE(rules.is_name_saved());
  ASSERT_TRUE(rules.capture(sample));
  EXPECT_FALSE(rules.is_name_saved());
  saved += "table inet mooring_0123abcd_b {\n";
  EXPECT_FALSE(rules.is_name_saved());  // there is no third name
}

TEST_F(NftRulesTest, CapturesInOneTransactionAndTakesTurns) {
  NftRules rules = make();
  ASSERT_TRUE(rules.capture(sample));
  EXPECT_EQ(kernel.transactions.size(), 1U);
  EXPECT_THAT(names(), ElementsAre("inet mooring_0123abcd_a", "inet mooring_0123abcd_guard"));
  ASSERT_TRUE(rules.capture(sample));
  EXPECT_EQ(kernel.transactions.size(), 2U);
  EXPECT_THAT(names(), ElementsAre("inet mooring_0123abcd_b", "inet mooring_0123abcd_guard"));
  EXPECT_TRUE(rules.is_intact());
  EXPECT_EQ(rules.view().table, "mooring_0123abcd_b");
  EXPECT_EQ(rules.view().owner_fd, 5);
}

TEST_F(NftRulesTest, BuildsBesideATableThatAnotherOwns) {
  kernel.tables["inet mooring_0123abcd_a"] = "table inet mooring_0123abcd_a {\n}\n";
  kernel.untouchable = "mooring_0123abcd_a";
  NftRules rules = make();
  EXPECT_TRUE(rules.has_inherited_capture());
  ASSERT_TRUE(rules.capture(sample));
  EXPECT_THAT(
      names(),
      ElementsAre(
          "inet mooring_0123abcd_a", "inet mooring_0123abcd_b", "inet mooring_0123abcd_guard"));
  ASSERT_TRUE(rules.capture(sample));  // while the other still stands, ours is replaced in place
  EXPECT_EQ(rules.view().table, "mooring_0123abcd_b");
}

TEST_F(NftRulesTest, KeepsWhatWasThereWhenTheKernelRefuses) {
  NftRules rules = make();
  ASSERT_TRUE(rules.capture(sample));
  const auto before = kernel.tables;
  kernel.refuses_all = true;
  EXPECT_FALSE(rules.capture(sample));
  EXPECT_EQ(kernel.tables, before);
  EXPECT_EQ(rules.view().table, "mooring_0123abcd_a");
  EXPECT_FALSE(rules.release(sample));
  EXPECT_EQ(rules.view().table, "mooring_0123abcd_a");
}

TEST_F(NftRulesTest, ReleaseKeepsTheGuardAndDrains) {
  open_connections = 1;
  NftRules rules = make();
  ASSERT_TRUE(rules.capture(sample));
  ASSERT_TRUE(rules.release(sample));
  EXPECT_THAT(names(), ElementsAre("inet mooring_0123abcd_drain", "inet mooring_0123abcd_guard"));
  EXPECT_TRUE(rules.is_intact());
  ASSERT_TRUE(rules.capture(sample));
  EXPECT_THAT(names(), ElementsAre("inet mooring_0123abcd_a", "inet mooring_0123abcd_guard"));
}

TEST_F(NftRulesTest, ClearTwiceIsAsOnce) {
  open_connections = 1;
  NftRules rules = make();
  ASSERT_TRUE(rules.capture(sample));
  ASSERT_TRUE(rules.clear());
  ASSERT_TRUE(rules.clear());
  EXPECT_THAT(names(), ElementsAre("inet mooring_0123abcd_drain"));
}

TEST_F(NftRulesTest, LeavesNothingWhereNothingIsLeftToDrain) {
  NftRules rules = make();
  ASSERT_TRUE(rules.capture(sample));
  ASSERT_TRUE(rules.clear());
  EXPECT_THAT(names(), ElementsAre());
  EXPECT_FALSE(rules.view().is_draining);
}

TEST_F(NftRulesTest, AHelperAfterUsDrainsOurConnectionsToo) {
  open_connections = 1;
  {
    NftRules rules = make();
    ASSERT_TRUE(rules.capture(sample));
    ASSERT_TRUE(rules.clear());
  }
  NftRules next = make();
  next.tidy();
  EXPECT_THAT(names(), ElementsAre("inet mooring_0123abcd_drain"));
  EXPECT_TRUE(next.view().is_draining);
  open_connections = 0;
  next.tidy();
  EXPECT_THAT(names(), ElementsAre());
  EXPECT_FALSE(next.view().is_draining);
}

TEST_F(NftRulesTest, EndsAnInheritedCaptureWithoutCuttingItsConnections) {
  open_connections = 1;
  {
    NftRules rules = make();
    ASSERT_TRUE(rules.capture(sample));
  }
  NftRules next = make();
  ASSERT_TRUE(next.clear());
  next.tidy();
  EXPECT_THAT(names(), ElementsAre("inet mooring_0123abcd_drain"));
}

TEST(ParseRedirectPorts, FindsThemInRulesAndInTheDrainTablesComment) {
  EXPECT_THAT(parse_redirect_ports("tcp dport 80 redirect to :15001 comment \"upstreams\"\n"),
              ElementsAre(15001));
  EXPECT_THAT(parse_redirect_ports("accept comment \"redirected to :123 to :124\"\n to :123"),
              ElementsAre(123, 124));
  EXPECT_THAT(parse_redirect_ports("dnat to :99999 redirect to :15001\n"), ElementsAre(15001));
  EXPECT_THAT(parse_redirect_ports("redirect to :\nredirect to :x to :"), ElementsAre());
  EXPECT_THAT(parse_redirect_ports(""), ElementsAre());
}

TEST_F(NftRulesTest, TidyRemovesOtherBootsAndLeavesOthersTables) {
  kernel.tables["inet filter"] = "table inet filter {\n}\n";
  kernel.tables["ip mooring_99999999_a"] = "table ip mooring_99999999_a {\n}\n";
  kernel.tables["inet mooring_0123abcd_guard"] = "table inet mooring_0123abcd_guard {\n}\n";
  NftRules rules = make();
  rules.tidy();
  EXPECT_THAT(names(), ElementsAre("inet filter", "inet mooring_0123abcd_guard"));
}

TEST_F(NftRulesTest, NoticesAChange) {
  NftRules rules = make();
  ASSERT_TRUE(rules.capture(sample));
  kernel.tables["inet mooring_0123abcd_guard"] += "accept\n";
  EXPECT_FALSE(rules.is_intact());
  kernel.tables.clear();
  EXPECT_FALSE(rules.is_intact());
  ASSERT_TRUE(rules.capture(sample));
  EXPECT_TRUE(rules.is_intact());
}

}  // namespace
}  // namespace mooring::transparent_proxy
