#include "clients/cpp/outgoing_record.h"

#include <grpcpp/support/slice.h>

#include <memory>
#include <vector>

#include "naru/v1/produce.pb.h"
#include "storage/batch/wire.h"

namespace naru::client {
namespace {

using naru::v1::Header;
using naru::v1::ProduceRequest;
using naru::v1::ProduceStreamRequest;
using naru::v1::Record;

size_t BytesFieldSize(size_t length) { return 1 + wire::VarintSize(length) + length; }

}  // namespace

void EncodeRecord(const OutgoingRecord& record, std::string& out) {
  if (record.key) wire::AppendBytesField(out, Record::kKeyFieldNumber, *record.key);
  if (record.value) wire::AppendBytesField(out, Record::kValueFieldNumber, *record.value);
  for (const HeaderView& header : record.headers) {
    wire::AppendVarint(out, wire::Tag(Record::kHeadersFieldNumber, wire::Type::kLength));
    wire::AppendVarint(out, BytesFieldSize(header.key.size()) + BytesFieldSize(header.value.size()));
    wire::AppendBytesField(out, Header::kKeyFieldNumber, header.key);
    wire::AppendBytesField(out, Header::kValueFieldNumber, header.value);
  }
  if (record.timestamp_ms != 0) {
    wire::AppendVarintField(out, Record::kTimestampMsFieldNumber, static_cast<uint64_t>(record.timestamp_ms));
  }
}

grpc::ByteBuffer EncodeProduceItem(int64_t id, std::string_view topic, PartitionId partition,
                                   naru::v1::Acks acks, const absl::Cord& batch) {
  std::string produce;
  wire::AppendBytesField(produce, ProduceRequest::kTopicFieldNumber, topic);
  wire::AppendVarintField(produce, ProduceRequest::kPartitionFieldNumber,
                          static_cast<uint64_t>(partition.value()));
  wire::AppendVarintField(produce, ProduceRequest::kAcksFieldNumber, static_cast<uint64_t>(acks));
  wire::AppendVarint(produce, wire::Tag(ProduceRequest::kBatchFieldNumber, wire::Type::kLength));
  wire::AppendVarint(produce, batch.size());

  std::string head;
  wire::AppendVarintField(head, ProduceStreamRequest::kIdFieldNumber, static_cast<uint64_t>(id));
  wire::AppendVarint(head, wire::Tag(ProduceStreamRequest::kProduceFieldNumber, wire::Type::kLength));
  wire::AppendVarint(head, produce.size() + batch.size());
  head += produce;

  std::vector<grpc::Slice> slices;
  slices.emplace_back(head);
  // The slices share the batch's bytes and keep them.
  using Kept = std::shared_ptr<const absl::Cord>;
  const Kept kept = std::make_shared<const absl::Cord>(batch);
  for (absl::string_view chunk : kept->Chunks()) {
    slices.emplace_back(
        const_cast<char*>(chunk.data()), chunk.size(), [](void* keep) { delete static_cast<Kept*>(keep); },
        new Kept(kept));
  }
  return grpc::ByteBuffer(slices.data(), slices.size());
}

grpc::ByteBuffer EncodeResume(int64_t id, std::string_view topic, PartitionId partition) {
  ProduceStreamRequest request;
  request.set_id(id);
  request.mutable_resume()->set_topic(std::string(topic));
  request.mutable_resume()->add_partitions(partition.value());
  const grpc::Slice slice(request.SerializeAsString());
  return grpc::ByteBuffer(&slice, 1);
}

}  // namespace naru::client
