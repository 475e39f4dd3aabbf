#include "core/memory.h"

#include <link.h>
#include <malloc.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>

namespace mooring {

namespace {

/// Has the loader written to it, before it protected it (PT_GNU_RELRO)?
bool is_relocated(const dl_phdr_info& object, const ElfW(Phdr) & segment) noexcept {
  for (int i = 0; i < object.dlpi_phnum; ++i) {
    const ElfW(Phdr)& other = object.dlpi_phdr[i];
    if (other.p_type == PT_GNU_RELRO && other.p_vaddr < segment.p_vaddr + segment.p_memsz &&
        segment.p_vaddr < other.p_vaddr + other.p_memsz)
      return true;
  }
  return false;
}

int release_segments(dl_phdr_info* object, std::size_t, void*) noexcept {
  const auto page = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
  for (int i = 0; i < object->dlpi_phnum; ++i) {
    const ElfW(Phdr)& segment = object->dlpi_phdr[i];
    const bool is_as_in_its_file = (segment.p_flags & PF_W) == 0 && !is_relocated(*object, segment);
    if (segment.p_type != PT_LOAD || !is_as_in_its_file) continue;
    const std::uintptr_t begin = (object->dlpi_addr + segment.p_vaddr) & ~(page - 1);
    const std::uintptr_t end =
        (object->dlpi_addr + segment.p_vaddr + segment.p_memsz) & ~(page - 1);
    // The pages that are in use now come back at once; where it is not allowed, nothing is lost.
    // NOLINTNEXTLINE(performance-no-int-to-ptr): the loader says addresses as numbers
    ::madvise(reinterpret_cast<void*>(begin), end - begin, MADV_DONTNEED);
  }
  return 0;
}

}  // namespace

void release_start_memory() noexcept {
  ::malloc_trim(0);
  ::dl_iterate_phdr(release_segments, nullptr);
}

}  // namespace mooring
