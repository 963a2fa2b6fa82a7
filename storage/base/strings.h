// std::string_view beside absl::string_view. Debian's abseil is built with a string_view class of its own (so
// that C++14 programs can link to it), which neither converts to the standard's nor is made from it. naru's
// own interfaces use the standard's; where a value crosses to abseil, Absl(view) and Std(view) say so at no
// cost. absl::StrCat and absl::StrAppend take standard views as they are, by the overloads below.
#pragma once

#include <string>
#include <string_view>
#include <type_traits>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace naru {

inline absl::string_view Absl(std::string_view view) { return {view.data(), view.size()}; }
inline std::string_view Std(absl::string_view view) { return {view.data(), view.size()}; }

namespace strings_internal {

template <typename T>
constexpr bool kIsStdView = std::is_same_v<std::remove_cvref_t<T>, std::string_view>;

// A standard view as abseil's; everything else as it came.
template <typename T>
decltype(auto) Piece(const T& value) {
  if constexpr (kIsStdView<T>) {
    return Absl(value);
  } else {
    return (value);
  }
}

}  // namespace strings_internal
}  // namespace naru

#if !defined(ABSL_USES_STD_STRING_VIEW)
namespace absl {

template <typename... Args>
requires(naru::strings_internal::kIsStdView<Args> || ...) std::string StrCat(const Args&... args) {
  return StrCat(naru::strings_internal::Piece(args)...);
}

template <typename... Args>
requires(naru::strings_internal::kIsStdView<Args> || ...) void StrAppend(std::string* to,
                                                                         const Args&... args) {
  StrAppend(to, naru::strings_internal::Piece(args)...);
}

}  // namespace absl
#endif
