#include "services/server/http_request.h"

#include <cstdint>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "storage/base/strings.h"

namespace naru::services {
namespace {

constexpr size_t kHeadBytesMax = 8192;
constexpr uint64_t kBodyBytesMax = 4096;
constexpr std::string_view kLineEnd = "\r\n";
constexpr std::string_view kHeadEnd = "\r\n\r\n";

HttpRequest Refuse(int status) {
  HttpRequest refused;
  refused.state = HttpRequest::State::kRefused;
  refused.refusal = status;
  return refused;
}

// Cuts the text up to `end` off the front of `text`, and `end` with it; all of it where there is no `end`.
std::string_view Cut(std::string_view& text, std::string_view end) {
  const size_t at = text.find(end);
  const std::string_view front = text.substr(0, at);
  text.remove_prefix(at == std::string_view::npos ? text.size() : at + end.size());
  return front;
}

// 0, or the status of the refusal.
int ReadRequestLine(std::string_view line, HttpRequest& request) {
  const std::string_view method = Cut(line, " ");
  std::string_view target = Cut(line, " ");
  if (method.empty() || !target.starts_with('/') || !line.starts_with("HTTP/")) return 400;
  if (line != "HTTP/1.1" && line != "HTTP/1.0") return 505;
  request.method = std::string(method);
  request.path = std::string(Cut(target, "?"));
  request.keep_alive = line == "HTTP/1.1";
  return 0;
}

int ReadHeader(std::string_view line, HttpRequest& request, uint64_t& body_bytes) {
  if (line.find(':') == std::string_view::npos) return 400;
  const std::string_view name = Cut(line, ":");
  const absl::string_view value = absl::StripAsciiWhitespace(Absl(line));
  if (absl::EqualsIgnoreCase(Absl(name), "connection")) {
    if (absl::EqualsIgnoreCase(value, "close")) request.keep_alive = false;
    if (absl::EqualsIgnoreCase(value, "keep-alive")) request.keep_alive = true;
  } else if (absl::EqualsIgnoreCase(Absl(name), "content-length")) {
    if (!absl::SimpleAtoi(value, &body_bytes)) return 400;
    if (body_bytes > kBodyBytesMax) return 413;
  } else if (absl::EqualsIgnoreCase(Absl(name), "transfer-encoding")) {
    return 501;
  }
  return 0;
}

std::string_view NameOf(int status) {
  switch (status) {
    case 200:
      return "OK";
    case 400:
      return "Bad Request";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 413:
      return "Content Too Large";
    case 431:
      return "Request Header Fields Too Large";
    case 501:
      return "Not Implemented";
    case 503:
      return "Service Unavailable";
    case 505:
      return "HTTP Version Not Supported";
    default:
      return "Other";
  }
}

}  // namespace

HttpRequest ReadHttpRequest(std::string_view received) {
  const size_t head_bytes = received.find(kHeadEnd);
  if (head_bytes == std::string_view::npos) {
    return received.size() > kHeadBytesMax ? Refuse(431) : HttpRequest();
  }
  if (head_bytes > kHeadBytesMax) return Refuse(431);
  std::string_view head = received.substr(0, head_bytes);
  HttpRequest request;
  if (const int refusal = ReadRequestLine(Cut(head, kLineEnd), request); refusal != 0) return Refuse(refusal);
  uint64_t body_bytes = 0;
  while (!head.empty()) {
    if (const int refusal = ReadHeader(Cut(head, kLineEnd), request, body_bytes); refusal != 0) {
      return Refuse(refusal);
    }
  }
  request.size = head_bytes + kHeadEnd.size() + body_bytes;
  if (received.size() >= request.size) request.state = HttpRequest::State::kComplete;
  return request;
}

std::string FormatHttpAnswer(int status, std::string_view content_type, std::string_view body,
                             bool keep_alive, bool with_body) {
  std::string answer = absl::StrCat("HTTP/1.1 ", status, " ", NameOf(status),
                                    "\r\nContent-Type: ", content_type, "\r\nContent-Length: ", body.size(),
                                    "\r\nConnection: ", keep_alive ? "keep-alive" : "close", "\r\n");
  if (status == 405) answer += "Allow: GET, HEAD\r\n";
  answer += kLineEnd;
  if (with_body) answer += body;
  return answer;
}

}  // namespace naru::services
