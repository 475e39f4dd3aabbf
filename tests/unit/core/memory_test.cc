#include "core/memory.h"

#include <gtest/gtest.h>

#include <fstream>
#include <string>

namespace mooring {

namespace {

/// What is in memory of this program's code, in KiB.
long resident_code() {
  std::ifstream smaps("/proc/self/smaps");
  long sum = 0;
  bool is_code = false;
  for (std::string line; std::getline(smaps, line);) {
    if (line.find(" r-xp ") != std::string::npos) is_code = line.ends_with("/core_test");
    if (line.find(" r--p ") != std::string::npos || line.find(" rw-p ") != std::string::npos)
      is_code = false;
    if (is_code && line.starts_with("Rss:")) sum += std::stol(line.substr(4));
  }
  return sum;
}

TEST(Memory, CodeThatIsNotInUseIsGivenBackAndComesAgain) {
  const long before = resident_code();
  ASSERT_GT(before, 0);
  release_start_memory();
  EXPECT_LT(resident_code(), before);
  release_start_memory();
  std::string text;
  for (int i = 0; i < 1000; ++i)
    text += std::to_string(i);
  EXPECT_EQ(text.size(), 2890U);
}

}  // namespace

}  // namespace mooring
