#include "tools/cli/record_format.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace naru::cli {
namespace {

using ::testing::HasSubstr;

class RecordFormatTest : public ::testing::Test {
 protected:
  RecordFormatTest() {
    record_.set_key("k");
    record_.set_value("v");
    record_.set_offset(17);
    record_.set_timestamp_ms(1'704'067'200'005);
    auto* header = record_.add_headers();
    header->set_key("a");
    header->set_value("1");
    header = record_.add_headers();
    header->set_key("b");
    header->set_value("2");
  }
  std::string Format(std::string_view text, std::string_view null_text = "") {
    const auto format = RecordFormat::Parse(text, null_text);
    EXPECT_TRUE(format.ok()) << format.status();
    std::string out;
    if (format.ok()) format->Append({"orders", 3, &record_}, out);
    return out;
  }
  naru::v1::Record record_;
};

TEST_F(RecordFormatTest, EveryFieldIsFilledIn) {
  EXPECT_EQ(Format("{topic} {partition}:{offset} {key}={value} {timestamp} {timestamp_ms} {headers}"),
            "orders 3:17 k=v 2024-01-01T00:00:00.005Z 1704067200005 a=1,b=2\n");
}

TEST_F(RecordFormatTest, EscapesAndBracesAreWhatTheySay) {
  EXPECT_EQ(Format(R"({key}\t{value}\n)"), "k\tv\n");
  EXPECT_EQ(Format(R"({{{key}}} \\)"), "{k} \\\n");
  EXPECT_EQ(Format(R"({value}\0\c)"), std::string("v\0", 2));
  EXPECT_EQ(Format(""), "\n");
}

TEST_F(RecordFormatTest, AbsentKeysAndValuesAreShownAsAsked) {
  record_.clear_key();
  record_.set_value("");
  EXPECT_EQ(Format("[{key}][{value}]"), "[][]\n");
  EXPECT_EQ(Format("[{key}][{value}]", "NULL"), "[NULL][]\n");
}

TEST_F(RecordFormatTest, WhatIsNoFieldOrEscapeIsNamed) {
  for (const char* text : {"{name}", "{key", "}", "\\x", "\\", "\\c more"}) {
    const auto format = RecordFormat::Parse(text, "");
    EXPECT_FALSE(format.ok()) << text;
  }
  EXPECT_THAT(std::string(RecordFormat::Parse("{name}", "").status().message()), HasSubstr("{timestamp_ms}"));
}

TEST_F(RecordFormatTest, JsonHasItsFieldsAlwaysInTheSameOrder) {
  EXPECT_EQ(
      Format("json"),
      R"({"topic":"orders","partition":3,"offset":17,"timestamp_ms":1704067200005,"key":"k","value":"v",)"
      R"("headers":[{"key":"a","value":"1"},{"key":"b","value":"2"}]})"
      "\n");
  record_.clear_key();
  record_.clear_headers();
  record_.set_value("\xff");
  EXPECT_EQ(Format("json"),
            R"({"topic":"orders","partition":3,"offset":17,"timestamp_ms":1704067200005,"key":null,)"
            R"("value_base64":"/w==","headers":[]})"
            "\n");
}

TEST(Utf8, IsToldFromOtherBytes) {
  for (const char* text : {"", "ascii", "äöü", "€", "😀", "\x7f", "\xef\xbf\xbf"})
    EXPECT_TRUE(IsUtf8(text)) << text;
  for (const char* text : {"\xff", "\xc0\x80", "\xc3", "\xe2\x82", "\xed\xa0\x80", "\xf4\x90\x80\x80",
                           "a\x80", "\xe0\x80\x80", "\xf0\x80\x80\x80"}) {
    EXPECT_FALSE(IsUtf8(text)) << text;
  }
}

}  // namespace
}  // namespace naru::cli
