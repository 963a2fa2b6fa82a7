#include "cluster/etcd/etcd_options.h"

#include <algorithm>

#include "absl/strings/str_split.h"
#include "storage/base/status.h"
#include "storage/base/strings.h"

namespace naru::cluster {
namespace {

constexpr std::string_view kScheme = "etcd://";
constexpr size_t kEndpointsMax = 16;
constexpr size_t kPrefixBytesMax = 200;
constexpr int64_t kPageKeysMax = 200;

absl::Status CheckRange(std::string_view option, int64_t value, int64_t min, int64_t max) {
  if (value >= min && value <= max) return absl::OkStatus();
  return InvalidField(option, absl::StrCat(value), absl::StrCat("it is ", min, " to ", max));
}

bool IsNameCharacter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' ||
         c == '-';
}

bool IsPort(std::string_view text) {
  if (text.empty() || text.size() > 5 || text.front() == '0') return false;
  int32_t port = 0;
  for (const char c : text) {
    if (c < '0' || c > '9') return false;
    port = port * 10 + (c - '0');
  }
  return port <= 65'535;
}

bool IsHost(std::string_view text) {
  if (text.size() > 2 && text.front() == '[' && text.back() == ']') {
    text = text.substr(1, text.size() - 2);
    return std::all_of(text.begin(), text.end(), [](char c) {
      return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F') || c == ':' ||
             c == '.';
    });
  }
  return !text.empty() && std::all_of(text.begin(), text.end(), IsNameCharacter);
}

absl::Status CheckEndpoint(std::string_view option, std::string_view endpoint) {
  const size_t colon = endpoint.rfind(':');
  if (colon != std::string_view::npos && IsHost(endpoint.substr(0, colon)) &&
      IsPort(endpoint.substr(colon + 1))) {
    return absl::OkStatus();
  }
  return InvalidField(option, absl::StrCat("\"", endpoint, "\""),
                      "each endpoint is host:port, with a port of 1 to 65535, and [address]:port for IPv6");
}

absl::Status CheckEndpoints(std::string_view option, const std::vector<std::string>& endpoints) {
  if (endpoints.empty() || endpoints.size() > kEndpointsMax) {
    return InvalidField(option, absl::StrCat(endpoints.size(), " endpoints"),
                        absl::StrCat("it has 1 to ", kEndpointsMax));
  }
  for (const std::string& endpoint : endpoints) NARU_RETURN_IF_ERROR(CheckEndpoint(option, endpoint));
  return absl::OkStatus();
}

absl::Status CheckPrefix(std::string_view option, std::string_view prefix) {
  const bool characters =
      std::all_of(prefix.begin(), prefix.end(), [](char c) { return c == '/' || IsNameCharacter(c); });
  if (prefix.size() >= 2 && prefix.size() <= kPrefixBytesMax && characters && prefix.front() == '/' &&
      prefix.back() != '/' && prefix.find("//") == std::string_view::npos) {
    return absl::OkStatus();
  }
  return InvalidField(
      option, absl::StrCat("\"", prefix, "\""),
      absl::StrCat("the prefix of the keys is like /naru or /a/b: segments of [A-Za-z0-9._-], ",
                   kPrefixBytesMax, " characters at most, no \"/\" at the end"));
}

}  // namespace

absl::Status EtcdOptions::Validate() const {
  NARU_RETURN_IF_ERROR(CheckEndpoints("etcd.endpoints", endpoints));
  NARU_RETURN_IF_ERROR(CheckPrefix("etcd.prefix", prefix));
  NARU_RETURN_IF_ERROR(CheckRange("etcd.lease_ttl_s", lease_ttl_s, 2, 60));
  NARU_RETURN_IF_ERROR(CheckRange("etcd.request_timeout_ms", request_timeout_ms, 100, 60'000));
  NARU_RETURN_IF_ERROR(CheckRange("etcd.poll_interval_ms", poll_interval_ms, 10, 10'000));
  return CheckRange("etcd.page_keys_max", page_keys_max, 1, kPageKeysMax);
}

absl::StatusOr<EtcdOptions> ParseEtcdUrl(std::string_view option, std::string_view url) {
  if (!url.starts_with(kScheme)) {
    return InvalidField(option, absl::StrCat("\"", url, "\""),
                        "it is etcd://host:port[,host:port...][/prefix of the keys]");
  }
  EtcdOptions options;
  const std::string_view rest = url.substr(kScheme.size());
  const size_t slash = std::min(rest.find('/'), rest.size());
  if (slash < rest.size()) options.prefix = rest.substr(slash);
  options.endpoints = absl::StrSplit(Absl(rest.substr(0, slash)), ',');
  NARU_RETURN_IF_ERROR(CheckEndpoints(option, options.endpoints));
  NARU_RETURN_IF_ERROR(CheckPrefix(option, options.prefix));
  return options;
}

}  // namespace naru::cluster
