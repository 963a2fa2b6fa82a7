#include "clients/cpp/received_records.h"

#include <grpcpp/support/slice.h>

#include "absl/strings/str_cat.h"
#include "storage/base/check.h"
#include "storage/batch/batch_cursor.h"
#include "storage/batch/wire.h"

namespace naru::client {
namespace {

using wire::Tag;
using wire::Type;

// In SubscribeResponse and ConsumeResponse.
constexpr char kDeliveryTag = static_cast<char>(Tag(15, Type::kLength));
// In a delivery.
constexpr uint64_t kRecordTag = Tag(15, Type::kLength);

absl::Cord Join(std::vector<grpc::Slice> slices, size_t share_bytes_min) {
  absl::Cord cord;
  for (grpc::Slice& slice : slices) {
    const absl::string_view bytes(reinterpret_cast<const char*>(slice.begin()), slice.size());
    cord.Append(bytes.size() < share_bytes_min
                    ? absl::Cord(std::string(bytes))
                    : absl::MakeCordFromExternal(bytes, [slice = std::move(slice)] {}));
  }
  return cord;
}

bool ReadHeader(std::string_view message, HeaderView& header) {
  const char* at = message.data();
  const char* const end = at + message.size();
  uint64_t tag;
  while (at != end) {
    if (!wire::ReadVarint(at, end, tag)) return false;
    switch (tag) {
      case Tag(1, Type::kLength):
        if (!wire::ReadBytes(at, end, header.key)) return false;
        break;
      case Tag(2, Type::kLength):
        if (!wire::ReadBytes(at, end, header.value)) return false;
        break;
      default:
        if (!wire::SkipValue(at, end, tag)) return false;
    }
  }
  return true;
}

// Where a field stands more than once the last one wins, as in every protobuf parser. `headers`: where they
// go, if anywhere; they are looked at in any case.
bool ReadRecord(std::string_view message, ReceivedRecord& record, std::vector<HeaderView>* headers) {
  record.message = message;
  const char* at = message.data();
  const char* const end = at + message.size();
  uint64_t tag;
  uint64_t number;
  std::string_view bytes;
  while (at != end) {
    if (!wire::ReadVarint(at, end, tag)) return false;
    switch (tag) {
      case Tag(1, Type::kLength):
        if (!wire::ReadBytes(at, end, bytes)) return false;
        record.key = bytes;
        break;
      case Tag(2, Type::kLength):
        if (!wire::ReadBytes(at, end, bytes)) return false;
        record.value = bytes;
        break;
      case Tag(3, Type::kLength): {
        HeaderView header;
        if (!wire::ReadBytes(at, end, bytes) || !ReadHeader(bytes, header)) return false;
        if (headers != nullptr) headers->push_back(header);
        break;
      }
      case Tag(4, Type::kVarint):
        if (!wire::ReadVarint(at, end, number)) return false;
        record.timestamp_ms = static_cast<int64_t>(number);
        break;
      case Tag(15, Type::kVarint):
        if (!wire::ReadVarint(at, end, number)) return false;
        record.offset = static_cast<int64_t>(number);
        break;
      default:
        if (!wire::SkipValue(at, end, tag)) return false;
    }
  }
  return true;
}

// Copies the field with this tag, whose value comes next, to the end of `to`.
bool CopyField(BatchCursor& cursor, uint64_t tag, std::string& to) {
  uint64_t number;
  wire::AppendVarint(to, tag);
  size_t size = 0;
  switch (static_cast<Type>(tag & 7)) {
    case Type::kVarint:
      if (!cursor.ReadVarint(number)) return false;
      wire::AppendVarint(to, number);
      return true;
    case Type::kLength:
      if (!cursor.ReadLength(number)) return false;
      wire::AppendVarint(to, number);
      size = number;
      break;
    case Type::kFixed64:
      size = 8;
      break;
    case Type::kFixed32:
      size = 4;
      break;
    default:
      return false;  // groups are in none of naru's messages
  }
  if (cursor.remaining() < size) return false;
  to.append(cursor.Take(size));
  return true;
}

}  // namespace

std::vector<HeaderView> ReceivedRecord::Headers() const {
  std::vector<HeaderView> headers;
  ReceivedRecord again;
  NARU_CHECK(ReadRecord(message, again, &headers));
  return headers;
}

absl::StatusOr<naru::v1::Record> ReceivedRecord::ToMessage() const {
  naru::v1::Record record;
  if (!record.ParseFromArray(message.data(), static_cast<int>(message.size()))) {
    return SplitResponse::Unreadable("a record");
  }
  return record;
}

absl::Status SplitResponse::Unreadable(std::string_view what) {
  return MakeError(Reason::kCorruptData, absl::StrCat("the broker sent ", what, " that cannot be read"));
}

absl::StatusOr<SplitResponse> SplitResponse::Of(const grpc::ByteBuffer& response, size_t share_bytes_min) {
  std::vector<grpc::Slice> slices;
  if (!response.Dump(&slices).ok()) return Unreadable("a response");
  auto bytes = std::make_unique<const absl::Cord>(Join(std::move(slices), share_bytes_min));
  BatchCursor cursor(*bytes);
  uint64_t length;
  if (!cursor.TakeByteIf(kDeliveryTag) || !cursor.ReadLength(length) || length != cursor.remaining()) {
    return SplitResponse{.rest = std::string(*bytes)};
  }
  const size_t begin = cursor.position();
  return OfDelivery(std::move(bytes), begin);
}

absl::StatusOr<SplitResponse> SplitResponse::OfDelivery(std::unique_ptr<const absl::Cord> bytes,
                                                        size_t begin) {
  SplitResponse split{.is_delivery = true};
  BatchCursor cursor(*bytes);
  cursor.Skip(begin);
  while (!cursor.done()) {
    uint64_t tag;
    uint64_t length;
    if (!cursor.ReadVarint(tag)) return Unreadable("a delivery");
    if (tag != kRecordTag) {
      if (!CopyField(cursor, tag, split.rest)) return Unreadable("a delivery");
      continue;
    }
    if (!cursor.ReadLength(length)) return Unreadable("a delivery");
    std::string_view message;
    if (cursor.InOnePiece(length)) {
      message = cursor.Take(length);
    } else {
      split.records.joined_.push_back(std::make_unique<const std::string>(cursor.Take(length)));
      message = *split.records.joined_.back();
    }
    if (!ReadRecord(message, split.records.records_.emplace_back(), nullptr)) return Unreadable("a record");
  }
  split.records.bytes_ = std::move(bytes);
  return split;
}

}  // namespace naru::client
