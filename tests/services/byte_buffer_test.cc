#include "services/rpc/byte_buffer.h"

#include <memory>
#include <vector>

#include "gtest/gtest.h"

namespace naru::services {
namespace {

std::string Flat(const grpc::ByteBuffer& buffer) { return std::string(ToCord(buffer)); }

TEST(ByteBufferTest, LargeSlicesAreSharedAndSmallOnesCopied) {
  const std::string large(16 << 10, 'l');
  const std::string small(100, 's');
  const grpc::Slice slices[] = {grpc::Slice(small), grpc::Slice(large)};
  const grpc::ByteBuffer buffer(slices, 2);
  const absl::Cord cord = ToCord(buffer);
  EXPECT_EQ(cord, small + large);
  bool shared = false;
  for (absl::string_view chunk : cord.Chunks()) {
    shared |= chunk.data() == reinterpret_cast<const char*>(slices[1].begin());
    EXPECT_NE(chunk.data(), reinterpret_cast<const char*>(slices[0].begin()));
  }
  EXPECT_TRUE(shared);
}

TEST(ByteBufferTest, ACordOutlivesTheBufferItCameFrom) {
  absl::Cord cord;
  {
    const grpc::Slice slice(std::string(100'000, 'x'));
    cord = ToCord(grpc::ByteBuffer(&slice, 1));
  }
  EXPECT_EQ(cord, std::string(100'000, 'x'));
}

TEST(ByteBufferTest, AnEmptyMessageIsValidToSend) {
  EXPECT_TRUE(ToByteBuffer(absl::Cord()).Valid());
  EXPECT_EQ(ToByteBuffer(absl::Cord()).Length(), 0u);
  EXPECT_EQ(ToCord(grpc::ByteBuffer()), "");
}

TEST(ByteBufferTest, WhatIsKeptGoesWithTheLastSlice) {
  const auto kept = std::make_shared<int>(1);
  std::vector<grpc::Slice> slices;
  {
    grpc::ByteBuffer buffer = ToByteBuffer("head ", std::string("body"), kept);
    EXPECT_EQ(Flat(buffer), "head body");
    EXPECT_TRUE(buffer.Dump(&slices).ok());
  }
  ASSERT_EQ(slices.size(), 2u);
  slices.erase(slices.begin());
  EXPECT_EQ(kept.use_count(), 2);
  slices.clear();
  EXPECT_EQ(kept.use_count(), 1);
}

TEST(ByteBufferTest, ACordsChunksAreSharedBehindTheHead) {
  const std::string bytes(50'000, 'b');
  absl::Cord body = absl::MakeCordFromExternal(bytes, [](absl::string_view) {});
  body.Append("end");
  const grpc::ByteBuffer buffer = ToByteBuffer("h", body, nullptr);
  EXPECT_EQ(Flat(buffer), "h" + bytes + "end");
  std::vector<grpc::Slice> slices;
  ASSERT_TRUE(buffer.Dump(&slices).ok());
  bool shared = false;
  for (const grpc::Slice& slice : slices) {
    shared |= reinterpret_cast<const char*>(slice.begin()) == bytes.data();
  }
  EXPECT_TRUE(shared);
}

}  // namespace
}  // namespace naru::services
