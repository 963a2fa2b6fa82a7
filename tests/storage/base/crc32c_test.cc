#include "storage/base/crc32c.h"

#include <gtest/gtest.h>

#include <string>

namespace naru {
namespace {

// RFC 3720, B.4.
TEST(Crc32c, MatchesThePublishedVectors) {
  EXPECT_EQ(Crc32c(std::string_view("123456789")), 0xe3069283u);
  EXPECT_EQ(Crc32c(std::string(32, '\0')), 0x8a9136aau);
  EXPECT_EQ(Crc32c(std::string(32, '\xff')), 0x62a8ab43u);
  std::string rising;
  for (char c = 0; c < 32; ++c) rising.push_back(c);
  EXPECT_EQ(Crc32c(rising), 0x46dd794eu);
  EXPECT_EQ(Crc32c(std::string(rising.rbegin(), rising.rend())), 0x113fdb5cu);
}

TEST(Crc32c, OfNothingIsZero) {
  EXPECT_EQ(Crc32c(std::string_view()), 0u);
  EXPECT_EQ(ExtendCrc32c(0x1234u, {}), 0x1234u);
}

TEST(Crc32c, GoesOnWhereItStopped) {
  std::string data;
  for (int i = 0; i < 1'000; ++i) data.push_back(static_cast<char>(i * 7));
  for (size_t cut = 0; cut <= data.size(); cut += 37) {
    const std::string_view view = data;
    EXPECT_EQ(ExtendCrc32c(Crc32c(view.substr(0, cut)), view.substr(cut)), Crc32c(view));
  }
}

TEST(Crc32c, OfACordIsThatOfItsBytes) {
  std::string flat;
  absl::Cord cord;
  for (int i = 0; i < 20; ++i) {
    const std::string piece(static_cast<size_t>(i) * 600, static_cast<char>('a' + i));
    flat += piece;
    cord.Append(absl::Cord(piece));
  }
  EXPECT_EQ(Crc32c(cord), Crc32c(flat));
}

TEST(Crc32c, ChangesWithEveryBit) {
  std::string data(64, 'x');
  const uint32_t before = Crc32c(data);
  for (size_t bit = 0; bit < data.size() * 8; ++bit) {
    data[bit / 8] = static_cast<char>(data[bit / 8] ^ (1 << (bit % 8)));
    EXPECT_NE(Crc32c(data), before);
    data[bit / 8] = static_cast<char>(data[bit / 8] ^ (1 << (bit % 8)));
  }
}

}  // namespace
}  // namespace naru
