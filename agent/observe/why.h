// The flight recorder behind `mooring why`: the last connections that were refused or broke, each
// told as a cause and a remedy. Fed by the access log's writer thread, read by the control thread.
#pragma once

#include <cstddef>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "observe/access_log.h"
#include "observe/ring.h"

namespace mooring::observe {

class FlightRecorder {
 public:
  static constexpr std::size_t kRecords = 256;

  /// Any thread; never waits. The oldest record gives way.
  void add(std::unique_ptr<const AccessRecord> record) noexcept;
  /// Newest first, at most kRecords. One thread only; the pointers live until the next call.
  [[nodiscard]] std::vector<const AccessRecord*> recent();

 private:
  Ring<std::unique_ptr<const AccessRecord>> incoming_{kRecords};
  std::deque<std::unique_ptr<const AccessRecord>> kept_;  // oldest first; the reader's
};

/// What an admin is told about one record. Peer-chosen text is escaped.
struct Explanation {
  std::string time;    // "2026-11-24T03:06:01.036Z"
  std::string who;     // identity and address of the calling side
  std::string whom;    // service or upstream, and the address that was dialled
  std::string reason;  // name of the close reason
  std::string cause;
  std::string remedy;
};
[[nodiscard]] Explanation explain(const AccessRecord& record);

/// A paragraph per record, for a terminal; says so where there is none.
[[nodiscard]] std::string render_why_text(const std::vector<const AccessRecord*>& records);
/// An array of objects: the access log's fields of each record, plus who, whom, cause and remedy.
[[nodiscard]] std::string render_why_json(const std::vector<const AccessRecord*>& records);

}  // namespace mooring::observe
