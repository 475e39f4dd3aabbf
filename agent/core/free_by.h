// The deleter for a C library's object that a function of the library frees:
// std::unique_ptr<SSL, FreeBy<SSL_free>>.
#pragma once

namespace mooring {

template <auto Free>
struct FreeBy {
  template <class T>
  void operator()(T* object) const noexcept {
    Free(object);
  }
};

}  // namespace mooring
