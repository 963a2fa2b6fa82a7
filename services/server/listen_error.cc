#include "services/server/listen_error.h"

#include <netdb.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>

#include "absl/cleanup/cleanup.h"
#include "storage/base/strings.h"

namespace naru::services {
namespace {

std::string BindProblem(const addrinfo& candidate) {
  const int fd = socket(candidate.ai_family, candidate.ai_socktype, candidate.ai_protocol);
  if (fd < 0) return std::strerror(errno);
  const absl::Cleanup close_it = [fd] { close(fd); };
  const int yes = 1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
  if (bind(fd, candidate.ai_addr, candidate.ai_addrlen) != 0 || listen(fd, 1) != 0)
    return std::strerror(errno);
  return "";
}

std::string Problem(const HostPort& address) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE;
  addrinfo* found = nullptr;
  if (const int error =
          getaddrinfo(address.host.c_str(), std::to_string(address.port).c_str(), &hints, &found);
      error != 0) {
    return gai_strerror(error);
  }
  const absl::Cleanup free_it = [found] { freeaddrinfo(found); };
  for (const addrinfo* candidate = found; candidate != nullptr; candidate = candidate->ai_next) {
    if (std::string problem = BindProblem(*candidate); !problem.empty()) return problem;
  }
  return "it was taken a moment ago";
}

}  // namespace

absl::Status ListenError(std::string_view option, const HostPort& address) {
  return absl::UnavailableError(absl::StrCat("--", option, ": cannot listen on ", address.ToString(), ": ",
                                             Problem(address),
                                             "; choose another address, or port 0 for a free one"));
}

}  // namespace naru::services
