#include "transparent-proxy/journal.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <sstream>
#include <utility>

#include <fmt/format.h>

#include "core/fd.h"
#include "core/file.h"
#include "core/log.h"
#include "transparent-proxy/nft_rules.h"

namespace mooring::transparent_proxy {

namespace {

constexpr std::size_t kMaxBytes = std::size_t{64} * 1024;
constexpr unsigned kMode = 0600;

std::int64_t unix_seconds() {
  return std::chrono::duration_cast<std::chrono::seconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

std::string head_line(const std::string& boot) {
  return fmt::format("mooring-journal 1 {}\n", boot);
}

std::string will_line(const std::string& thing) {
  return fmt::format("will {} {} was absent\n", unix_seconds(), thing);
}

std::string thing_of(const TableName& table) {
  return fmt::format("nft {} {}", table.family, table.name);
}

// Empty unless it is a journal of this boot.
std::set<std::string> parse(const std::string& text, const std::string& boot) {
  std::set<std::string> present;
  std::istringstream lines(text);
  std::string line;
  if (!std::getline(lines, line) || line + "\n" != head_line(boot)) return present;
  constexpr std::string_view kBefore = " was absent";
  while (std::getline(lines, line)) {
    const std::size_t at = line.find(' ', 5);
    if (at == std::string::npos) continue;
    std::string thing = line.substr(at + 1);
    if (line.starts_with("will ") && thing.ends_with(kBefore)) {
      present.insert(thing.substr(0, thing.size() - kBefore.size()));
    } else if (line.starts_with("gone ")) {
      present.erase(thing);
    }
  }
  return present;
}

}  // namespace

Journal::Journal(std::string path, std::string boot)
    : path_(std::move(path)), boot_(std::move(boot)) {
  if (const auto text = read_file(path_, 2 * kMaxBytes)) present_ = parse(*text, boot_);
  compact();
}

void Journal::will_add(const std::vector<std::string>& things, bool must_be_on_disk) {
  std::string lines;
  for (const std::string& thing : things) {
    if (present_.insert(thing).second) lines += will_line(thing);
  }
  if (!lines.empty()) append(lines, must_be_on_disk);
}

void Journal::keep_only(std::string_view kind, const std::vector<std::string>& things) {
  std::string lines;
  std::erase_if(present_, [&](const std::string& thing) {
    if (!thing.starts_with(kind) || std::find(things.begin(), things.end(), thing) != things.end())
      return false;
    lines += fmt::format("gone {} {}\n", unix_seconds(), thing);
    return true;
  });
  if (lines.empty()) return;
  append(lines, false);
  if (present_.empty() || size_ > kMaxBytes) compact();
}

void Journal::append(const std::string& lines, bool must_be_on_disk) {
  const UniqueFd file(::open(path_.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC | O_NOFOLLOW));
  const auto written = file.valid() ? ::write(file.get(), lines.data(), lines.size()) : -1;
  const bool is_done = written == static_cast<ssize_t>(lines.size()) &&
                       (!must_be_on_disk || ::fdatasync(file.get()) == 0);
  size_ += lines.size();
  if (!is_done && !std::exchange(is_broken_, true)) {
    log::error("{} cannot be written: {}", path_, describe(error_from_errno(errno, "write")));
  }
  if (is_done && std::exchange(is_broken_, false)) compact();  // with what is missing
}

void Journal::compact() {
  std::string text = head_line(boot_);
  for (const std::string& thing : present_)
    text += will_line(thing);
  size_ = text.size();
  if (const auto done = write_file_atomically(path_, text, kMode); !done)
    log::error("{} cannot be written: {}", path_, describe(done.error()));
}

std::vector<std::string> tables_made_by(std::string_view commands) {
  std::vector<std::string> things;
  for (const TableName& table : parse_our_tables(commands))
    things.push_back(thing_of(table));
  return things;
}

namespace {

class JournaledRunner : public NftRunner {
 public:
  JournaledRunner(std::unique_ptr<NftRunner> runner, std::shared_ptr<Journal> journal)
      : runner_(std::move(runner)), journal_(std::move(journal)) {}

  Checked<void> run(const std::string& commands) override {
    const auto things = tables_made_by(commands);
    const bool is_end_of_capture =
        std::all_of(things.begin(), things.end(), [](const std::string& thing) {
          return thing.ends_with("_drain");
        });
    journal_->will_add(things, !is_end_of_capture);
    return runner_->run(commands);
  }
  Checked<void> check(const std::string& commands) override { return runner_->check(commands); }
  Checked<std::string> list(const std::string& command) override {
    auto text = runner_->list(command);
    if (text && command == "list tables") journal_->keep_only("nft ", tables_made_by(*text));
    return text;
  }
  [[nodiscard]] int owner_fd() const noexcept override { return runner_->owner_fd(); }

 private:
  std::unique_ptr<NftRunner> runner_;
  std::shared_ptr<Journal> journal_;
};

}  // namespace

std::unique_ptr<NftRunner> with_journal(std::unique_ptr<NftRunner> runner,
                                        std::shared_ptr<Journal> journal) {
  return std::make_unique<JournaledRunner>(std::move(runner), std::move(journal));
}

}  // namespace mooring::transparent_proxy
