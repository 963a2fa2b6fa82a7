#include "services/server/event_logger.h"

#include <gtest/gtest.h>

#include <limits>
#include <string>
#include <vector>

#include "naru/v1/admin.pb.h"

namespace naru::services {
namespace {

constexpr int64_t kTimeMs = 1'700'000'000'123;

std::string Line(LogFormat format, const std::vector<EventField>& fields) {
  return FormatEvent(format, kTimeMs, Severity::kInfo, "listening", fields);
}

TEST(EventLogger, TextIsTimeLevelEventAndFields) {
  EXPECT_EQ(Line(LogFormat::kText, {{"address", "127.0.0.1:1"}, {"count", 3}}),
            "2023-11-14T22:13:20.123Z INFO  listening address=127.0.0.1:1 count=3");
}

TEST(EventLogger, LogfmtNamesEverything) {
  EXPECT_EQ(Line(LogFormat::kLogfmt, {{"path", "a b"}, {"empty", ""}}),
            "time=2023-11-14T22:13:20.123Z level=info event=listening path=\"a b\" empty=\"\"");
}

TEST(EventLogger, JsonKeepsNumbersAsNumbers) {
  EXPECT_EQ(Line(LogFormat::kJson, {{"count", 3}, {"share", 0.5}, {"text", "3"}}),
            "{\"time\":\"2023-11-14T22:13:20.123Z\",\"level\":\"info\",\"event\":\"listening\",\"count\":3,"
            "\"share\":0.5,\"text\":\"3\"}");
}

TEST(EventLogger, JsonQuotesNumbersThatItCannotHold) {
  const std::string line = Line(LogFormat::kJson, {{"share", std::numeric_limits<double>::infinity()}});
  EXPECT_NE(line.find("\"share\":\"inf\""), std::string::npos) << line;
}

TEST(EventLogger, AFieldCannotBreakALine) {
  const std::string hostile = "a\nb\r\"c\\\x01\xff\xc3\xa9\xed\xa0\x80";
  for (const LogFormat format : {LogFormat::kText, LogFormat::kLogfmt, LogFormat::kJson}) {
    const std::string line = Line(format, {{"x", hostile}});
    EXPECT_NE(line.find("\"a\\nb\\u000d\\\"c\\\\\\u0001\\ufffd\xc3\xa9\\ufffd\\ufffd\\ufffd\""),
              std::string::npos)
        << line;
  }
}

TEST(EventLogger, EventsOfLessWeightAreLeftOut) {
  ::testing::internal::CaptureStderr();
  EventLogger logger(LogFormat::kText, Severity::kWarning);
  logger.Write(Severity::kInfo, "quiet", {});
  logger.Write(Severity::kWarning, "loud", {{"n", 1}});
  const std::string written = ::testing::internal::GetCapturedStderr();
  EXPECT_EQ(written.find("quiet"), std::string::npos);
  EXPECT_NE(written.find("loud n=1\n"), std::string::npos) << written;
}

class LastEvent final : public EventLog {
 public:
  void Write(Severity severity, std::string_view event, const std::vector<EventField>& fields) override {
    severity_ = severity;
    line_ = std::string(event) + ": " + fields.at(0).value;
  }
  Severity severity_ = Severity::kError;
  std::string line_;
};

// Any client can send such bytes, so they must neither fill the log nor reach standard error.
TEST(EventLogger, WhatProtobufHasToSayOfAClientsBytesIsAnEventForDebugging) {
  LastEvent events;
  SendLibraryLogsTo(&events);
  ::testing::internal::CaptureStderr();
  naru::v1::GetTopicRequest request;
  EXPECT_FALSE(request.ParseFromString("\x0a\x01\xff"));
  EXPECT_EQ(::testing::internal::GetCapturedStderr(), "");
  SendLibraryLogsTo(nullptr);
  EXPECT_EQ(events.severity_, Severity::kDebug);
  EXPECT_EQ(events.line_.rfind("protobuf_log: ", 0), 0u) << events.line_;
  EXPECT_NE(events.line_.find("UTF-8"), std::string::npos) << events.line_;
}

}  // namespace
}  // namespace naru::services
