// The rows of __consumer_offsets for people: what proto/naru/internal/v1/group.proto says of their bytes, as
// text.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <utility>

#include "naru/v1/types.pb.h"

namespace naru::cli {

inline constexpr std::string_view kGroupRowsTopic = "__consumer_offsets";

// Thread-safe.
class GroupRowText {
 public:
  // `topics`: names by id. Rows keep ids alone; one that is not there is shown in hexadecimal.
  explicit GroupRowText(std::map<std::string, std::string> topics) : topics_(std::move(topics)) {}

  // The record with text in place of key and value:
  //   "group billing"                        "epoch 5, has members"
  //   "group billing, member m-1"            "epoch 5, client c, topics orders, owns orders/0-2"
  //   "group billing, orders/3"              "offset 17, committed 2024-01-01T00:00:00.000Z"
  // and "gone" where it is a tombstone. What is no such row stays as it is.
  naru::v1::Record Show(const naru::v1::Record& row) const;

 private:
  std::string NameOf(const std::string& topic_id) const;

  const std::map<std::string, std::string> topics_;
};

}  // namespace naru::cli
