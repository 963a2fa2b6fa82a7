#include "services/admin/topic_pages.h"

#include <algorithm>
#include <string>
#include <string_view>

#include "absl/strings/escaping.h"
#include "services/admin/topic_message.h"
#include "storage/base/status.h"
#include "storage/base/strings.h"

namespace naru::services {
namespace {

constexpr int32_t kPageSizeDefault = 100;
constexpr int32_t kPageSizeMax = 1'000;
constexpr size_t kPrefixBytesMax = 249;
// What tells a token's content, and its version.
constexpr std::string_view kTokenMark = "topics1";

// Neither a mark nor a topic's name holds a slash, and a prefix with one begins no name.
std::string MakeToken(std::string_view prefix, std::string_view last_name) {
  return absl::WebSafeBase64Escape(absl::StrCat(kTokenMark, "/", prefix, "/", last_name));
}

// The last name of the page before.
absl::StatusOr<std::string> ReadToken(const std::string& token, std::string_view prefix) {
  const absl::Status refused =
      InvalidField("page_token", absl::StrCat("a token of ", token.size(), " bytes"),
                   "allowed: next_page_token of the answer before, with the same prefix, or nothing");
  std::string content;
  if (!absl::WebSafeBase64Unescape(token, &content)) return refused;
  const std::string expected = absl::StrCat(kTokenMark, "/", prefix, "/");
  if (!content.starts_with(expected)) return refused;
  std::string last_name = content.substr(expected.size());
  if (!cluster::ValidateTopicName("page_token", last_name).ok() || !last_name.starts_with(prefix))
    return refused;
  return last_name;
}

}  // namespace

absl::StatusOr<naru::v1::ListTopicsResponse> ListTopicsPage(const cluster::TopicCatalog& catalog,
                                                            const naru::v1::ListTopicsRequest& request) {
  if (request.page_size() < 0) {
    return InvalidField("page_size", absl::StrCat(request.page_size()),
                        "allowed: 0 (the default, 100) to 1000");
  }
  if (request.prefix().size() > kPrefixBytesMax) {
    return InvalidField("prefix", absl::StrCat("a prefix of ", request.prefix().size(), " bytes"),
                        "allowed: at most 249 bytes, the length of the longest name");
  }
  const std::string& prefix = request.prefix();
  auto next = catalog.topics.lower_bound(prefix);
  if (!request.page_token().empty()) {
    NARU_ASSIGN_OR_RETURN(const std::string last_name, ReadToken(request.page_token(), prefix));
    next = catalog.topics.upper_bound(last_name);
  }
  const int32_t page_size =
      request.page_size() == 0 ? kPageSizeDefault : std::min(request.page_size(), kPageSizeMax);
  const auto in_range = [&] { return next != catalog.topics.end() && next->first.starts_with(prefix); };
  naru::v1::ListTopicsResponse response;
  while (in_range() && response.topics_size() < page_size) {
    *response.add_topics() = ToMessage(*next->second);
    ++next;
  }
  if (in_range()) response.set_next_page_token(MakeToken(prefix, response.topics().rbegin()->name()));
  return response;
}

}  // namespace naru::services
