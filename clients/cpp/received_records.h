// What a stream of deliveries gives, with its records where they were received: views, not messages. Copied
// are only small pieces of a response, and records that gRPC has cut in two.
#pragma once

#include <grpcpp/support/byte_buffer.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/cord.h"
#include "clients/cpp/outgoing_record.h"
#include "naru/v1/types.pb.h"
#include "storage/base/status.h"

namespace naru::client {

// A smaller slice would hold on to a block of gRPC's that may be many times its size.
constexpr size_t kShareBytesMin = 16 << 10;

// One record where it lies. All views are valid while the ReceivedRecords that it is of live; they may be
// moved.
struct ReceivedRecord {
  int64_t offset = 0;
  int64_t timestamp_ms = 0;               // since the epoch; never 0
  std::optional<std::string_view> key;    // absent: it has none
  std::optional<std::string_view> value;  // absent: a tombstone
  std::string_view message;               // the bytes of the naru.v1.Record, with all its fields

  // In the order written.
  std::vector<HeaderView> Headers() const;
  // A copy. DATA_LOSS when a header's key is not UTF-8, which no broker lets in.
  absl::StatusOr<naru::v1::Record> ToMessage() const;
};

// The records of one delivery, in order. Can be moved, but not copied. Thread-compatible.
class ReceivedRecords {
 public:
  using const_iterator = std::vector<ReceivedRecord>::const_iterator;

  const_iterator begin() const { return records_.begin(); }
  const_iterator end() const { return records_.end(); }
  size_t size() const { return records_.size(); }
  bool empty() const { return records_.empty(); }
  const ReceivedRecord& operator[](size_t index) const { return records_[index]; }

 private:
  friend struct SplitResponse;

  std::vector<ReceivedRecord> records_;
  // What the views point into; on the heap, so that it stays where it is.
  std::unique_ptr<const absl::Cord> bytes_;
  std::vector<std::unique_ptr<const std::string>> joined_;
};

// A delivery of a stream. `Head` is its message: naru.v1.PartitionDelivery or naru.v1.GroupDelivery.
template <typename Head>
struct Received {
  Head head;  // all of it but the records
  ReceivedRecords records;

  // A copy. DATA_LOSS as a record's.
  absl::StatusOr<Head> ToMessage() const {
    Head message = head;
    for (const ReceivedRecord& record : records) {
      NARU_ASSIGN_OR_RETURN(*message.add_records(), record.ToMessage());
    }
    return message;
  }
};

// A response taken apart; internal to ReadResponse.
struct SplitResponse {
  // A response that is a delivery (field 15) and nothing else, as brokers write it; any other is left whole.
  static absl::StatusOr<SplitResponse> Of(const grpc::ByteBuffer& response, size_t share_bytes_min);
  static absl::StatusOr<SplitResponse> OfDelivery(std::unique_ptr<const absl::Cord> bytes, size_t begin);
  static absl::Status Unreadable(std::string_view what);

  bool is_delivery = false;
  // Of a delivery all but its records, otherwise the response.
  std::string rest;
  ReceivedRecords records;
};

// What a broker sent: a delivery, or a response that holds none. `Response` is naru.v1.SubscribeResponse or
// naru.v1.ConsumeResponse. Slices below `share_bytes_min`, at least 512, are copied. DATA_LOSS when it is no
// such message.
template <typename Head, typename Response>
absl::StatusOr<std::variant<Received<Head>, Response>> ReadResponse(const grpc::ByteBuffer& bytes,
                                                                    size_t share_bytes_min = kShareBytesMin) {
  using Result = std::variant<Received<Head>, Response>;
  NARU_ASSIGN_OR_RETURN(SplitResponse split, SplitResponse::Of(bytes, share_bytes_min));
  if (!split.is_delivery) {
    Response response;
    if (!response.ParseFromString(split.rest)) return SplitResponse::Unreadable("a response");
    if (!response.has_delivery()) return Result(std::move(response));
    auto delivery = std::make_unique<const absl::Cord>(response.delivery().SerializeAsString());
    NARU_ASSIGN_OR_RETURN(split, SplitResponse::OfDelivery(std::move(delivery), 0));
  }
  Received<Head> received{.head = {}, .records = std::move(split.records)};
  if (!received.head.ParseFromString(split.rest)) return SplitResponse::Unreadable("a delivery");
  return Result(std::move(received));
}

}  // namespace naru::client
