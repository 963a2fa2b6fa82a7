#include "services/server/http_connection.h"

#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>

namespace naru::services {
namespace {

constexpr int kRequestsMax = 100;
// More than the largest request: what comes behind one waits in the socket.
constexpr size_t kReceivedBytesMax = 16 << 10;

}  // namespace

HttpConnection::~HttpConnection() { close(fd_); }

bool HttpConnection::Go(const Answer& answer, Time now) {
  if (!wants_to_write() && !Read()) return false;
  while (true) {
    if (!wants_to_write()) AnswerNext(answer);
    if (!wants_to_write()) return !half_closed_;
    if (!Write()) return false;
    if (wants_to_write()) return true;
    since_ = now;
    if (last_) return false;
  }
}

bool HttpConnection::Read() {
  char buffer[4096];
  while (in_.size() < kReceivedBytesMax) {
    const ssize_t size = recv(fd_, buffer, sizeof(buffer), MSG_DONTWAIT);
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return errno == EAGAIN || errno == EWOULDBLOCK;
    half_closed_ = size == 0;
    if (half_closed_) return !in_.empty();
    in_.append(buffer, static_cast<size_t>(size));
  }
  return true;
}

bool HttpConnection::Write() {
  while (!out_.empty()) {
    const ssize_t size = send(fd_, out_.data(), out_.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return errno == EAGAIN || errno == EWOULDBLOCK;
    out_.erase(0, static_cast<size_t>(size));
  }
  return true;
}

void HttpConnection::AnswerNext(const Answer& answer) {
  HttpRequest request = ReadHttpRequest(in_);
  if (request.state == HttpRequest::State::kIncomplete) return;
  last_ = request.state == HttpRequest::State::kRefused || !request.keep_alive || ++requests_ == kRequestsMax;
  request.keep_alive = !last_;
  in_.erase(0, request.size);
  out_ = answer(request);
}

}  // namespace naru::services
