// Fixed-width integers in byte strings: little-endian for file contents, big-endian for keys that must sort.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <type_traits>

namespace naru {

static_assert(std::endian::native == std::endian::little,
              "file formats are written on little-endian machines");

template <typename T>
void PutLittle(char* to, T value) {
  static_assert(std::is_integral_v<T>);
  std::memcpy(to, &value, sizeof value);
}
template <typename T>
T GetLittle(const char* from) {
  static_assert(std::is_integral_v<T>);
  T value;
  std::memcpy(&value, from, sizeof value);
  return value;
}
template <typename T>
void AppendLittle(std::string& to, T value) {
  char raw[sizeof(T)];
  PutLittle(raw, value);
  to.append(raw, sizeof raw);
}

inline void AppendBig64(std::string& to, uint64_t value) {
  const uint64_t swapped = __builtin_bswap64(value);
  to.append(reinterpret_cast<const char*>(&swapped), sizeof swapped);
}
inline uint64_t GetBig64(const char* from) { return __builtin_bswap64(GetLittle<uint64_t>(from)); }

// Takes values off the front of a byte string. After the first read past the end ok() is false and every
// further value is 0.
class LittleReader {
 public:
  explicit LittleReader(std::string_view data) : data_(data) {}
  template <typename T>
  T Take() {
    if (data_.size() < sizeof(T)) {
      ok_ = false;
      data_ = {};
      return T{0};
    }
    T value = GetLittle<T>(data_.data());
    data_.remove_prefix(sizeof(T));
    return value;
  }
  std::string_view TakeBytes(size_t n) {
    if (data_.size() < n) {
      ok_ = false;
      data_ = {};
      return {};
    }
    std::string_view taken = data_.substr(0, n);
    data_.remove_prefix(n);
    return taken;
  }
  bool ok() const { return ok_; }
  bool done() const { return ok_ && data_.empty(); }
  size_t remaining() const { return data_.size(); }

 private:
  std::string_view data_;
  bool ok_ = true;
};

}  // namespace naru
