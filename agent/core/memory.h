// What a program holds that sleeps most of the time.
#pragma once

namespace mooring {

/// Gives back what only the start needed: free parts of the heap, and the pages of programs and
/// libraries that nobody writes to, which come back from their files when they are used. Once, when
/// the program has settled; any thread.
void release_start_memory() noexcept;

}  // namespace mooring
