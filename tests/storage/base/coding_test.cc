#include "storage/base/coding.h"

#include <gtest/gtest.h>

#include <limits>
#include <vector>

namespace naru {
namespace {

TEST(Coding, LittleEndianComesBackInEveryWidth) {
  std::string bytes;
  AppendLittle<uint8_t>(bytes, 0xfe);
  AppendLittle<uint16_t>(bytes, 0x1234);
  AppendLittle<int32_t>(bytes, -5);
  AppendLittle<uint64_t>(bytes, std::numeric_limits<uint64_t>::max() - 1);
  AppendLittle<int64_t>(bytes, std::numeric_limits<int64_t>::min());
  ASSERT_EQ(bytes.size(), 23u);
  EXPECT_EQ(bytes.substr(1, 2), "\x34\x12") << "the low byte first";
  LittleReader reader(bytes);
  EXPECT_EQ(reader.Take<uint8_t>(), 0xfe);
  EXPECT_EQ(reader.Take<uint16_t>(), 0x1234);
  EXPECT_EQ(reader.Take<int32_t>(), -5);
  EXPECT_EQ(reader.Take<uint64_t>(), std::numeric_limits<uint64_t>::max() - 1);
  EXPECT_EQ(reader.Take<int64_t>(), std::numeric_limits<int64_t>::min());
  EXPECT_TRUE(reader.done());
}

TEST(Coding, BigEndianKeysSortLikeTheirNumbers) {
  const std::vector<uint64_t> rising = {0, 1, 255, 256, 65'535, 1'000'000, uint64_t{1} << 40, ~uint64_t{0}};
  std::string last;
  for (const uint64_t value : rising) {
    std::string key;
    AppendBig64(key, value);
    EXPECT_EQ(GetBig64(key.data()), value);
    if (!last.empty()) {
      EXPECT_LT(last, key);
    }
    last = key;
  }
}

TEST(Coding, AReadPastTheEndGivesZerosFromThenOn) {
  LittleReader reader(std::string_view("\x01\x02\x03", 3));
  EXPECT_EQ(reader.Take<uint16_t>(), 0x0201);
  EXPECT_EQ(reader.Take<uint32_t>(), 0u);
  EXPECT_FALSE(reader.ok());
  EXPECT_FALSE(reader.done());
  EXPECT_EQ(reader.Take<uint8_t>(), 0u) << "also what would have fit";
  EXPECT_EQ(reader.TakeBytes(1), "");
}

TEST(Coding, BytesAreTakenAsTheyStand) {
  LittleReader reader("abcdef");
  EXPECT_EQ(reader.TakeBytes(4), "abcd");
  EXPECT_EQ(reader.remaining(), 2u);
  EXPECT_EQ(reader.TakeBytes(3), "");
  EXPECT_FALSE(reader.ok());
}

}  // namespace
}  // namespace naru
