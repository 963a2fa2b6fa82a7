// As much of HTTP/1.1 as fixed pages need: the head of a request, and an answer. Pure.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace naru::services {

// A request that stands at the front of what a client sent.
struct HttpRequest {
  enum class State {
    kIncomplete,  // more bytes are needed
    kRefused,     // `refusal` says why; the connection cannot go on
    kComplete,
  };
  State state = State::kIncomplete;
  int refusal = 0;  // an HTTP status

  std::string method;
  std::string path;  // without the query
  bool keep_alive = false;
  size_t size = 0;  // of the whole request, its body included
};

// Reads the first request of `received`. Heads of more than 8 KiB (431) and bodies of more than 4 KiB (413)
// are refused, and so is what is not HTTP/1.x (400, 505) or a body of unknown length (501). A body is not
// looked at.
HttpRequest ReadHttpRequest(std::string_view received);

// An answer with its head. `with_body` false, for HEAD: the head alone.
std::string FormatHttpAnswer(int status, std::string_view content_type, std::string_view body,
                             bool keep_alive, bool with_body);

}  // namespace naru::services
