// NARU_CHECK: for invariants that only a defect of ours can break, and for lost durability. It ends the
// process; it is never for what a client, a disk or a file can do to us (those get an absl::Status).
#pragma once

#include <cstdio>
#include <cstdlib>
#include <string_view>

namespace naru {

// Writes "naru: FATAL file:line: what: detail" to standard error and aborts.
[[noreturn]] inline void Die(const char* file, int line, std::string_view what,
                             std::string_view detail = "") {
  std::fprintf(stderr, "naru: FATAL %s:%d: %.*s%s%.*s\n", file, line, static_cast<int>(what.size()),
               what.data(), detail.empty() ? "" : ": ", static_cast<int>(detail.size()), detail.data());
  std::fflush(stderr);
  std::abort();
}

}  // namespace naru

#define NARU_CHECK(condition)                                       \
  do {                                                              \
    if (!(condition)) [[unlikely]]                                  \
      ::naru::Die(__FILE__, __LINE__, "check failed: " #condition); \
  } while (false)

// As NARU_CHECK, for an absl::Status that must be OK.
#define NARU_CHECK_OK(expression)                                                            \
  do {                                                                                       \
    const auto& naru_check_status = (expression);                                            \
    if (!naru_check_status.ok()) [[unlikely]]                                                \
      ::naru::Die(__FILE__, __LINE__, "not OK: " #expression, naru_check_status.ToString()); \
  } while (false)
