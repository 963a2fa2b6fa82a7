#include "services/rpc/byte_buffer.h"

#include <grpc/slice.h>
#include <grpcpp/support/slice.h>

#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

namespace naru::services {
namespace {

constexpr size_t kShareBytesMin = 16 << 10;

// What the slices of one message point into.
struct Kept {
  std::string head;
  std::string text;
  absl::Cord cord;
  std::shared_ptr<const void> keep;
};

// A slice of `bytes`, which `kept` owns.
grpc::Slice Share(std::string_view bytes, const std::shared_ptr<const Kept>& kept) {
  return grpc::Slice(
      const_cast<char*>(bytes.data()), bytes.size(),
      [](void* owner) { delete static_cast<std::shared_ptr<const Kept>*>(owner); },
      new std::shared_ptr<const Kept>(kept));
}

grpc::ByteBuffer Build(const std::shared_ptr<const Kept>& kept) {
  std::vector<grpc::Slice> slices;
  if (!kept->head.empty()) slices.push_back(Share(kept->head, kept));
  if (!kept->text.empty()) slices.push_back(Share(kept->text, kept));
  for (absl::string_view chunk : kept->cord.Chunks()) {
    slices.push_back(Share(std::string_view(chunk.data(), chunk.size()), kept));
  }
  // A ByteBuffer of no slices at all is not valid to send; an empty one is.
  if (slices.empty()) slices.emplace_back();
  return grpc::ByteBuffer(slices.data(), slices.size());
}

}  // namespace

absl::Cord ToCord(const grpc::ByteBuffer& buffer) {
  absl::Cord cord;
  std::vector<grpc::Slice> slices;
  if (!buffer.Valid() || !buffer.Dump(&slices).ok()) return cord;
  for (grpc::Slice& slice : slices) {
    const absl::string_view bytes(reinterpret_cast<const char*>(slice.begin()), slice.size());
    if (bytes.size() < kShareBytesMin) {
      cord.Append(bytes);
    } else {
      cord.Append(absl::MakeCordFromExternal(bytes, [slice = std::move(slice)] {}));
    }
  }
  return cord;
}

grpc::ByteBuffer ToByteBuffer(const absl::Cord& cord) { return ToByteBuffer(std::string(), cord, nullptr); }

grpc::ByteBuffer ToByteBuffer(std::string head, std::string body, std::shared_ptr<const void> keep) {
  return Build(std::make_shared<Kept>(Kept{std::move(head), std::move(body), absl::Cord(), std::move(keep)}));
}

grpc::ByteBuffer ToByteBuffer(std::string head, const absl::Cord& body, std::shared_ptr<const void> keep) {
  return Build(std::make_shared<Kept>(Kept{std::move(head), std::string(), body, std::move(keep)}));
}

}  // namespace naru::services
