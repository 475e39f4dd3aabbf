// Compares text with a file in tests/golden. MOORING_UPDATE_GOLDEN=1 writes the files instead; read
// the diff before you commit it.
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string>

namespace mooring {

inline void expect_golden(const std::string& name, const std::string& actual) {
  const std::string path = std::string(MOORING_SOURCE_DIR) + "/tests/golden/" + name;
  if (std::getenv("MOORING_UPDATE_GOLDEN") != nullptr) {  // NOLINT(concurrency-mt-unsafe)
    std::ofstream(path) << actual;
    return;
  }
  const std::ifstream file(path);
  ASSERT_TRUE(file) << path << " is missing";
  std::ostringstream expected;
  expected << file.rdbuf();
  EXPECT_EQ(actual, expected.str()) << path;
}

}  // namespace mooring
