#include "tools/cli/record_reader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>

#include "absl/strings/str_cat.h"
#include "naru/v1/types.pb.h"
#include "storage/base/status.h"
#include "tools/cli/record_format.h"

namespace naru::cli {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pair;

TEST(TextLines, TheWholeLineIsTheValue) {
  const InputRecord record = ParseTextLine("a b c", {});
  EXPECT_EQ(record.key, std::nullopt);
  EXPECT_EQ(record.value, "a b c");
}

TEST(TextLines, ASeparatorCutsAtItsFirstAppearance) {
  ProduceArguments arguments;
  arguments.key_separator = "::";
  EXPECT_EQ(ParseTextLine("k::v::w", arguments).key, "k");
  EXPECT_EQ(ParseTextLine("k::v::w", arguments).value, "v::w");
  EXPECT_EQ(ParseTextLine("::v", arguments).key, "");
  EXPECT_EQ(ParseTextLine("k::", arguments).value, "");
  EXPECT_EQ(ParseTextLine("no separator", arguments).key, std::nullopt);
  EXPECT_EQ(ParseTextLine("no separator", arguments).value, "no separator");
}

TEST(TextLines, AFieldIsTheKeyAndTheLineStaysWhole) {
  ProduceArguments arguments;
  arguments.key_field = 4;
  const InputRecord record = ParseTextLine("2024-01-01 10:00:00  install\tbash:amd64 <none> 5.2", arguments);
  EXPECT_EQ(record.key, "bash:amd64");
  EXPECT_EQ(record.value, "2024-01-01 10:00:00  install\tbash:amd64 <none> 5.2");
  EXPECT_EQ(ParseTextLine("only three fields", arguments).key, std::nullopt);
  EXPECT_EQ(ParseTextLine("and four of them", arguments).key, "them");
}

TEST(JsonLines, EveryFieldIsTaken) {
  const auto record = ParseJsonLine(
      R"({"key":"k","value_base64":"AP8=","headers":{"a":"1","b":2},"timestamp_ms":77,"partition":3})", {});
  ASSERT_TRUE(record.ok()) << record.status();
  EXPECT_EQ(record->key, "k");
  EXPECT_EQ(record->value, std::string("\0\xff", 2));
  EXPECT_THAT(record->headers, ElementsAre(Pair("a", "1"), Pair("b", "2")));
  EXPECT_EQ(record->timestamp_ms, 77);
  EXPECT_EQ(record->partition, 3);
}

TEST(JsonLines, AbsentAndNullAreNoneAndEmptyIsEmpty) {
  EXPECT_EQ(ParseJsonLine(R"({})", {})->value, std::nullopt);
  EXPECT_EQ(ParseJsonLine(R"({"key":null,"value":null})", {})->key, std::nullopt);
  EXPECT_EQ(ParseJsonLine(R"({"key":"","value":""})", {})->key, "");
}

TEST(JsonLines, AValueThatIsJsonIsKeptAsItsText) {
  EXPECT_EQ(ParseJsonLine(R"({"value":{"id":1}})", {})->value, R"({"id":1})");
  EXPECT_EQ(ParseJsonLine(R"({"value":7})", {})->value, "7");
}

TEST(JsonLines, ATimestampMayBeText) {
  EXPECT_EQ(ParseJsonLine(R"({"timestamp":"2024-01-01T00:00:00Z"})", {})->timestamp_ms, 1'704'067'200'000);
}

TEST(JsonLines, WhatIsWrongIsNamed) {
  const std::pair<const char*, const char*> cases[] = {{"not json", "JSON object"},
                                                       {"[1]", "JSON object"},
                                                       {R"({"kee":"k"})", "kee"},
                                                       {R"({"key_base64":"%"})", "base64"},
                                                       {R"({"key":"a","key_base64":"YQ=="})", "not both"},
                                                       {R"({"timestamp_ms":-1})", "timestamp_ms"},
                                                       {R"({"timestamp_ms":"1"})", "timestamp_ms"},
                                                       {R"({"timestamp":"noon"})", "timestamp"},
                                                       {R"({"partition":-1})", "partition"},
                                                       {R"({"headers":7})", "headers"},
                                                       {R"({"headers":[{"value":"x"}]})", "headers"}};
  for (const auto& [line, expected] : cases) {
    const auto record = ParseJsonLine(line, {});
    ASSERT_FALSE(record.ok()) << line;
    EXPECT_THAT(std::string(record.status().message()), HasSubstr(expected)) << line;
  }
}

TEST(JsonLines, AThousandsFoldNestedValueIsRefusedInsteadOfUsingUpTheStack) {
  for (const char* field : {"value", "key", "headers", "timestamp", "timestamp_ms", "offset", "unknown"}) {
    const std::string deep = std::string(200'000, '[') + std::string(200'000, ']');
    const auto record = ParseJsonLine(absl::StrCat("{\"", field, "\":", deep, "}"), {});
    EXPECT_THAT(std::string(record.status().message()), HasSubstr("100 levels")) << field;
    EXPECT_LT(record.status().message().size(), 300u);
  }
  const std::string brackets(200'000, '[');
  EXPECT_EQ(ParseJsonLine(absl::StrCat(R"({"value":"\"\\)", brackets, "\"}"), {})->value, "\"\\" + brackets)
      << "in a string they nest nothing";
  const std::string allowed = std::string(99, '[') + std::string(99, ']');
  EXPECT_EQ(ParseJsonLine(absl::StrCat("{\"value\":", allowed, "}"), {})->value, allowed);
}

TEST(JsonLines, WhatIsWrongIsNotQuotedAtLength) {
  const std::string large(1'000'000, 'x');
  for (const char* field : {"key_base64", "headers", "timestamp", "timestamp_ms", "partition"}) {
    const auto record = ParseJsonLine(absl::StrCat("{\"", field, "\":[\"", large, "\"]}"), {});
    EXPECT_TRUE(absl::IsInvalidArgument(record.status())) << field;
    EXPECT_LT(record.status().message().size(), 300u) << field;
  }
}

TEST(JsonLines, WhatConsumeWritesIsReadBack) {
  naru::v1::Record record;
  record.set_key("k\"\\\n\x01");
  record.set_value(std::string("\xff\x00", 2));
  auto* header = record.add_headers();
  header->set_key("h");
  header->set_value("\xfe");
  record.add_headers()->set_key("h");
  record.set_timestamp_ms(1'700'000'000'123);
  record.set_offset(9);
  std::string line;
  RecordFormat::Parse("json", "")->Append({"topic", 2, &record}, line);
  const auto back = ParseJsonLine(line, {});
  ASSERT_TRUE(back.ok()) << back.status();
  EXPECT_EQ(back->key, record.key());
  EXPECT_EQ(back->value, record.value());
  EXPECT_THAT(back->headers, ElementsAre(Pair("h", "\xfe"), Pair("h", "")));
  EXPECT_EQ(back->timestamp_ms, 1'700'000'000'123);
  EXPECT_EQ(back->partition, 2);
}

class LineReaderTest : public ::testing::Test {
 protected:
  std::vector<std::string> Read(const std::string& text) {
    std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::tmpfile(), std::fclose);
    std::fwrite(text.data(), 1, text.size(), file.get());
    std::rewind(file.get());
    LineReader reader(file.get());
    std::vector<std::string> lines;
    const bool stop = false;
    while (true) {
      const auto line = reader.Next(&stop);
      if (!line.ok() || !*line) break;
      lines.emplace_back(**line);
    }
    EXPECT_EQ(reader.bytes(), static_cast<int64_t>(text.size()));
    EXPECT_EQ(reader.lines(), static_cast<int64_t>(lines.size()));
    return lines;
  }
};

TEST_F(LineReaderTest, LinesComeWithoutTheirEndsAndALastOneNeedsNone) {
  EXPECT_THAT(Read("a\n\nb\r\nc"), ElementsAre("a", "", "b", "c"));
  EXPECT_THAT(Read("a\n"), ElementsAre("a"));
  EXPECT_THAT(Read(""), ElementsAre());
}

TEST_F(LineReaderTest, ALineLargerThanOneReadIsWhole) {
  const std::string large(1'000'000, 'x');
  EXPECT_THAT(Read("a\n" + large + "\nb\n"), ElementsAre("a", large, "b"));
}

TEST_F(LineReaderTest, ALineAboveTheLimitIsRefusedAloneAndThoseBehindItAreRead) {
  const std::string large(70 << 20, 'x');
  for (const std::string behind : {"\nb\r\nc", "\nb\nc\n", ""}) {
    std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::tmpfile(), std::fclose);
    const std::string text = "a\n" + large + behind;
    std::fwrite(text.data(), 1, text.size(), file.get());
    std::rewind(file.get());
    LineReader reader(file.get());
    const bool stop = false;
    EXPECT_EQ(**reader.Next(&stop), "a");
    const absl::Status refused = reader.Next(&stop).status();
    EXPECT_EQ(ReasonOf(refused), Reason::kRecordTooLarge) << refused;
    EXPECT_EQ(reader.lines(), 2) << "the one that was refused";
    if (!behind.empty()) {
      EXPECT_EQ(**reader.Next(&stop), "b");
      EXPECT_EQ(**reader.Next(&stop), "c");
    }
    EXPECT_FALSE((*reader.Next(&stop)).has_value());
  }
}

TEST_F(LineReaderTest, ALineWithoutEndIsRefusedInsteadOfFillingMemory) {
  std::unique_ptr<std::FILE, int (*)(std::FILE*)> zeros(std::fopen("/dev/zero", "rb"), std::fclose);
  LineReader reader(zeros.get());
  const bool stop = false;
  EXPECT_TRUE(absl::IsInvalidArgument(reader.Next(&stop).status()));
}

}  // namespace
}  // namespace naru::cli
