#include "config/reference.h"

#include <gtest/gtest.h>

#include <set>

#include "config/schema.h"
#include "core/file.h"
#include "support.h"

namespace mooring::config {
namespace {

TEST(Schema, NamesAreUniqueAndEveryRowIsExplained) {
  std::set<std::string_view> names;
  for (const Section& section : sections()) {
    EXPECT_TRUE(names.insert(section.name).second) << section.name;
    EXPECT_FALSE(section.help.empty());
    std::set<std::string_view> keys;
    for (const Option& option : section.options) {
      EXPECT_TRUE(keys.insert(option.key).second) << section.name << "." << option.key;
      EXPECT_FALSE(option.help.empty()) << section.name << "." << option.key;
    }
  }
}

TEST(Reference, DocumentIsWhatTheSchemaPrints) {
  const auto document = read_file(MOORING_SOURCE_DIR "/docs/configuration.md", 1024 * 1024);
  ASSERT_TRUE(document);
  constexpr std::string_view kBegin = "<!-- printed from the schema: begin -->\n\n";
  const std::size_t begin = document->find(kBegin);
  const std::size_t end = document->find("<!-- printed from the schema: end -->");
  ASSERT_NE(begin, std::string::npos);
  ASSERT_NE(end, std::string::npos);
  EXPECT_EQ(document->substr(begin + kBegin.size(), end - begin - kBegin.size()),
            reference_markdown())
      << "replace that part of docs/configuration.md by:\n"
      << reference_markdown();
}

TEST(Reference, ExampleInTheDocumentIsAccepted) {
  const auto document = read_file(MOORING_SOURCE_DIR "/docs/configuration.md", 1024 * 1024);
  ASSERT_TRUE(document);
  constexpr std::string_view kFence = "```toml\n";
  const std::size_t begin = document->find(kFence);
  ASSERT_NE(begin, std::string::npos);
  const std::size_t end = document->find("```", begin + kFence.size());
  const AgentConfig config =
      config_of(document->substr(begin + kFence.size(), end - begin - kFence.size()));
  EXPECT_TRUE(config.warnings.empty()) << config.warnings.front();
}

}  // namespace
}  // namespace mooring::config
