#include "storage/store/key_map.h"

#include <gtest/gtest.h>

#include <string>

namespace naru {
namespace {

// The published test vectors of SipHash-2-4-128 under the key 00 01 … 0f.
constexpr HashSecret kPublishedSecret{0x0706050403020100, 0x0f0e0d0c0b0a0908};

TEST(KeyHash, IsThatOfThePublishedVectors) {
  EXPECT_EQ(HashKey(kPublishedSecret, ""), (KeyHash{0xe6a825ba047f81a3, 0x930255c71472f66d}));
  EXPECT_EQ(HashKey(kPublishedSecret, std::string(1, '\0')),
            (KeyHash{0x44af996bd8c187da, 0x45fc229b11597634}));
}

TEST(KeyHash, EveryByteAndTheLengthCount) {
  const std::string key = "a key of more than eight bytes";
  for (size_t i = 0; i < key.size(); ++i) {
    std::string other = key;
    other[i] ^= 1;
    EXPECT_NE(HashKey(kPublishedSecret, key), HashKey(kPublishedSecret, other)) << i;
    EXPECT_NE(HashKey(kPublishedSecret, key), HashKey(kPublishedSecret, key.substr(0, i))) << i;
  }
}

TEST(KeyMap, KnowsTheNewestOffsetOfEachKey) {
  KeyMap map(1 << 16, 100, kPublishedSecret);
  EXPECT_EQ(map.Find("a"), std::nullopt);
  EXPECT_TRUE(map.Put("a", Offset(1)));
  EXPECT_TRUE(map.Put("", Offset(2)));
  EXPECT_TRUE(map.Put("a", Offset(3)));
  EXPECT_EQ(map.Find("a"), Offset(3));
  EXPECT_EQ(map.Find(""), Offset(2));
  EXPECT_EQ(map.size(), 2);
}

TEST(KeyMap, AFullOneTakesNoNewKeysButKnowsItsOwn) {
  KeyMap map(24 * 100, 1'000'000, kPublishedSecret);
  EXPECT_EQ(map.memory_bytes(), 24 * 100);
  ASSERT_EQ(map.capacity(), 75);
  for (int i = 0; i < 75; ++i) ASSERT_TRUE(map.Put(std::to_string(i), Offset(i)));
  EXPECT_FALSE(map.Put("new", Offset(75)));
  EXPECT_EQ(map.Find("new"), std::nullopt);
  EXPECT_TRUE(map.Put("7", Offset(76)));
  for (int i = 0; i < 75; ++i) EXPECT_EQ(map.Find(std::to_string(i)), Offset(i == 7 ? 76 : i));
}

TEST(KeyMap, TakesNoMoreMemoryThanItsKeysNeed) {
  KeyMap map(1 << 30, 30, kPublishedSecret);
  EXPECT_GE(map.capacity(), 30);
  EXPECT_LT(map.memory_bytes(), 24 * 50);
  KeyMap none(1 << 30, 0, kPublishedSecret);
  EXPECT_EQ(none.Find("a"), std::nullopt);
}

}  // namespace
}  // namespace naru
