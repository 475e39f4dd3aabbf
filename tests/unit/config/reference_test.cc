#include "config/reference.h"

#include <gtest/gtest.h>

#include <set>

#include "config/schema.h"
#include "core/file.h"
#include "support.h"

namespace mooring::config {
namespace {

constexpr std::size_t kMaxDocumentBytes = 1 << 20;

TEST(Schema, NamesAreUniqueAndEveryRowIsExplained) {
  std::set<std::string> names;
  const auto expect_row = [&names](const std::string& name, std::string_view help) {
    EXPECT_TRUE(names.insert(name).second) << name;
    EXPECT_FALSE(help.empty()) << name;
  };
  for (const Section& section : sections()) {
    expect_row(std::string(section.name), section.help);
    for (const Option& option : section.options)
      expect_row(fmt::format("{}.{}", section.name, option.key), option.help);
  }
}

TEST(Reference, DocumentIsWhatTheSchemaPrints) {
  const auto document = read_file(MOORING_SOURCE_DIR "/docs/configuration.md", kMaxDocumentBytes);
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

TEST(Reference, ExamplesInTheDocumentAreAccepted) {
  const auto document = read_file(MOORING_SOURCE_DIR "/docs/configuration.md", kMaxDocumentBytes);
  ASSERT_TRUE(document);
  constexpr std::string_view kFence = "```toml\n";
  std::size_t examples = 0;
  for (std::size_t begin = document->find(kFence); begin != std::string::npos;
       begin = document->find(kFence, begin)) {
    begin += kFence.size();
    const AgentConfig config =
        config_of(document->substr(begin, document->find("```", begin) - begin));
    EXPECT_TRUE(config.warnings.empty()) << config.warnings.front();
    ++examples;
  }
  EXPECT_EQ(examples, 2U);
}

}  // namespace
}  // namespace mooring::config
