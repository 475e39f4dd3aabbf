#include "observe/line_output.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include "core/file.h"

namespace mooring::observe {
namespace {

namespace fs = std::filesystem;

// A pipe takes a line in pieces; the file that follows it must not begin with the rest of one.
TEST(LineOutput, LeavesATornLineBehindWhenItIsOpenedAnew) {
  std::string pattern = (fs::temp_directory_path() / "mooring-line.XXXXXX").string();
  const std::string folder = ::mkdtemp(pattern.data());
  const std::string fifo = folder + "/fifo";
  ASSERT_EQ(::mkfifo(fifo.c_str(), 0600), 0);
  LineOutput output(1024 * 1024);
  ASSERT_TRUE(output.open(fifo));
  // The pipe holds some 64 KiB in pieces of 4096, so it ends within one of these lines.
  for (int i = 0; i < 30; ++i)
    output.add(std::string(5000, static_cast<char>('A' + i)));
  EXPECT_EQ(output.flush(), LineOutput::State::blocked);
  const std::uint64_t whole = output.written();
  ASSERT_GT(whole, 5U);

  ASSERT_TRUE(output.open(folder + "/file"));
  EXPECT_EQ(output.flush(), LineOutput::State::idle);
  const std::string text = read_file(folder + "/file", 1024 * 1024).value();
  EXPECT_EQ(text.size() % 5001, 0U);
  EXPECT_EQ(text[0], static_cast<char>('A' + static_cast<int>(whole) + 1));
  EXPECT_EQ(output.written(), 29U);  // all but the torn one
  fs::remove_all(folder);
}

TEST(LineOutput, IsFullAtItsBound) {
  LineOutput output(10);
  EXPECT_FALSE(output.is_full());
  output.add("123456789");
  EXPECT_TRUE(output.is_full());
}

}  // namespace
}  // namespace mooring::observe
