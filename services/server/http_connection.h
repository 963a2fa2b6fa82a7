// One connection of the HTTP endpoint: its bytes in and out, without ever waiting for the peer. Owns the
// socket. Not thread-safe.
#pragma once

#include <chrono>
#include <functional>
#include <string>

#include "services/server/http_request.h"

namespace naru::services {

class HttpConnection {
 public:
  using Time = std::chrono::steady_clock::time_point;
  // What to send for a request.
  using Answer = std::function<std::string(const HttpRequest&)>;

  // `fd` does not block.
  HttpConnection(int fd, Time now) : fd_(fd), since_(now) {}
  ~HttpConnection();
  HttpConnection(const HttpConnection&) = delete;
  HttpConnection& operator=(const HttpConnection&) = delete;

  int fd() const { return fd_; }
  // What to poll for: it reads nothing while an answer is on its way.
  bool wants_to_write() const { return !out_.empty(); }
  // When it came, or had its last answer.
  Time since() const { return since_; }

  // Takes and gives what is possible now. False: it is over, destroy it.
  bool Go(const Answer& answer, Time now);

 private:
  // False: the peer is gone.
  bool Read();
  bool Write();
  // Answers the request that came, if it is complete.
  void AnswerNext(const Answer& answer);

  const int fd_;
  Time since_;
  std::string in_;
  std::string out_;
  int requests_ = 0;
  bool last_ = false;         // closes once out_ is sent
  bool half_closed_ = false;  // nothing more comes
};

}  // namespace naru::services
