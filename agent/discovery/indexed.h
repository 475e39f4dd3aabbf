// A vector whose elements have a name and are found by it: what the vector's readers see is plain,
// and a change of one element costs one element.
#pragma once

#include <cstddef>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

namespace mooring::discovery {

/// `T` has a member `name`. Removing one moves the last one into its place.
template <class T>
class Indexed {
 public:
  explicit Indexed(std::vector<T>& items) : items_(items) {}

  [[nodiscard]] const T* find(const std::string& name) const {
    const auto found = places_.find(name);
    return found == places_.end() ? nullptr : &items_[found->second];
  }
  /// False if it is there already, the same.
  bool put(T item) {
    const auto [found, is_new] = places_.try_emplace(item.name, items_.size());
    if (is_new) {
      items_.push_back(std::move(item));
      return true;
    }
    T& old = items_[found->second];
    if (old == item) return false;
    old = std::move(item);
    return true;
  }
  /// False if there is none.
  bool erase(const std::string& name) {
    const auto found = places_.find(name);
    if (found == places_.end()) return false;
    const std::size_t place = found->second;
    places_.erase(found);
    if (place + 1 != items_.size()) {
      items_[place] = std::move(items_.back());
      places_[items_[place].name] = place;
    }
    items_.pop_back();
    return true;
  }

 private:
  std::vector<T>& items_;  // of who owns this
  std::unordered_map<std::string, std::size_t> places_;
};

}  // namespace mooring::discovery
