// What the C++ client reads of a stream, against protobuf: whatever it takes for a delivery is the same as a
// message, however the bytes are cut.
//
// Input: one byte that says into how large pieces (of 512 bytes and as many more), then a SubscribeResponse's
// bytes.
#include <google/protobuf/stubs/logging.h>
#include <google/protobuf/util/message_differencer.h>

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "clients/cpp/received_records.h"
#include "naru/v1/consume.pb.h"
#include "storage/base/check.h"
#include "tests/clients/cut_bytes.h"

namespace naru::client {
namespace {

using google::protobuf::util::MessageDifferencer;
using naru::v1::PartitionDelivery;
using naru::v1::SubscribeResponse;
using testing::Cut;

// Smaller ones would be put together again.
constexpr size_t kPieceBytesMin = 512;

void CheckRecord(const ReceivedRecord& read, const naru::v1::Record& record) {
  NARU_CHECK(read.offset == record.offset() && read.timestamp_ms == record.timestamp_ms());
  NARU_CHECK(read.key.has_value() == record.has_key() && read.key.value_or("") == record.key());
  NARU_CHECK(read.value.has_value() == record.has_value() && read.value.value_or("") == record.value());
  const std::vector<HeaderView> headers = read.Headers();
  NARU_CHECK(std::ssize(headers) == record.headers_size());
  for (int i = 0; i < record.headers_size(); ++i) {
    const HeaderView& header = headers[static_cast<size_t>(i)];
    NARU_CHECK(header.key == record.headers(i).key() && header.value == record.headers(i).value());
  }
}

void Run(size_t piece_bytes, const std::string& bytes) {
  const auto read =
      ReadResponse<PartitionDelivery, SubscribeResponse>(Cut(bytes, piece_bytes), kPieceBytesMin);
  if (!read.ok()) return;  // protobuf takes more: groups, text that is none
  SubscribeResponse response;
  const bool parsed = response.ParseFromString(bytes);
  if (const auto* other = std::get_if<SubscribeResponse>(&*read)) {
    NARU_CHECK(parsed && MessageDifferencer::Equals(*other, response));
    return;
  }
  const auto& received = std::get<Received<PartitionDelivery>>(*read);
  const absl::StatusOr<PartitionDelivery> delivery = received.ToMessage();
  // Not where a header's key is no text.
  NARU_CHECK(delivery.ok() == parsed);
  if (!parsed) return;
  NARU_CHECK(MessageDifferencer::Equals(*delivery, response.delivery()));
  for (size_t i = 0; i < received.records.size(); ++i) {
    CheckRecord(received.records[i], response.delivery().records(static_cast<int>(i)));
  }
}

}  // namespace
}  // namespace naru::client

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  // Messages that do not parse are expected here.
  static const google::protobuf::LogSilencer silence;
  (void)silence;
  if (size == 0) return 0;
  naru::client::Run(naru::client::kPieceBytesMin + data[0],
                    std::string(reinterpret_cast<const char*>(data + 1), size - 1));
  return 0;
}
