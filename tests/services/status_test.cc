#include "services/rpc/status.h"

#include <grpcpp/test/server_context_test_spouse.h>

#include <map>
#include <string>

#include "gmock/gmock.h"
#include "google/rpc/error.pb.h"
#include "gtest/gtest.h"
#include "storage/base/status.h"

namespace naru::services {
namespace {

using ::testing::Pair;
using ::testing::UnorderedElementsAre;

struct Answer {
  grpc::Status status;
  std::multimap<std::string, std::string> trailers;
  google::rpc::Status details;
  google::rpc::ErrorInfo info;

  // As HTTP/2 counts header lists: name, value, 32 bytes each.
  size_t WireBytes() const {
    size_t bytes = 32 + std::string("grpc-status").size() + 2;
    bytes += 32 + std::string("grpc-message").size();
    for (const unsigned char c : status.error_message()) bytes += (c < 0x20 || c > 0x7e || c == '%') ? 3 : 1;
    bytes += 32 + std::string("grpc-status-details-bin").size() + (status.error_details().size() + 2) / 3 * 4;
    for (const auto& [name, value] : trailers) bytes += 32 + name.size() + value.size();
    return bytes;
  }
};

Answer Ask(const absl::Status& status) {
  grpc::ServerContext context;
  Answer answer;
  answer.status = ToGrpcStatus(status, context);
  for (const auto& [name, value] : grpc::testing::ServerContextTestSpouse(&context).GetTrailingMetadata()) {
    answer.trailers.emplace(std::string(name.data(), name.size()), std::string(value.data(), value.size()));
  }
  EXPECT_TRUE(answer.details.ParseFromString(answer.status.error_details()));
  if (answer.details.details_size() > 0) {
    EXPECT_TRUE(answer.details.details(0).UnpackTo(&answer.info));
  }
  return answer;
}

TEST(StatusTest, OkStaysOkWithoutTrailers) {
  const Answer answer = Ask(absl::OkStatus());
  EXPECT_TRUE(answer.status.ok());
  EXPECT_TRUE(answer.trailers.empty());
  EXPECT_TRUE(answer.status.error_details().empty());
}

TEST(StatusTest, AnErrorCarriesCodeMessageErrorInfoAndThePlainReason) {
  const Answer answer = Ask(InvalidField("partition_count", "0", "allowed: 1 to 100000"));
  EXPECT_EQ(answer.status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(answer.status.error_message(), "partition_count: 0 is not allowed; allowed: 1 to 100000");
  EXPECT_EQ(answer.details.code(), static_cast<int>(grpc::StatusCode::INVALID_ARGUMENT));
  EXPECT_EQ(answer.details.message(), answer.status.error_message());
  EXPECT_EQ(answer.info.reason(), "INVALID_FIELD");
  EXPECT_EQ(answer.info.domain(), "naru");
  EXPECT_THAT(answer.info.metadata(),
              UnorderedElementsAre(Pair("field", "partition_count"), Pair("value", "0")));
  EXPECT_THAT(answer.trailers, UnorderedElementsAre(Pair("naru-reason", "INVALID_FIELD")));
  EXPECT_EQ(answer.details.details_size(), 1) << "a retry would fail again, so there is no RetryInfo";
}

TEST(StatusTest, ErrorsThatPassByThemselvesSayWhenToRetry) {
  for (const Reason reason : {Reason::kStorageFull, Reason::kShuttingDown, Reason::kTooManyInFlight}) {
    const Answer answer = Ask(MakeError(reason, "later"));
    ASSERT_EQ(answer.details.details_size(), 2) << ReasonName(reason);
    google::rpc::RetryInfo retry;
    ASSERT_TRUE(answer.details.details(1).UnpackTo(&retry));
    EXPECT_GT(retry.retry_delay().seconds() * 1'000'000'000 + retry.retry_delay().nanos(), 0);
  }
}

TEST(StatusTest, AStatusMadeElsewhereIsInternal) {
  const Answer answer = Ask(absl::NotFoundError("no such file"));
  EXPECT_EQ(answer.status.error_code(), grpc::StatusCode::INTERNAL);
  EXPECT_EQ(answer.info.reason(), "INTERNAL");
  EXPECT_EQ(answer.status.error_message(), "no such file");
}

TEST(StatusTest, TrailersStayUnderFourKibibytesWhateverTheErrorHolds) {
  const std::string long_ascii(100'000, 'x');
  std::string long_unicode;
  for (int i = 0; i < 10'000; ++i) long_unicode += "\xe2\x82\xac";
  for (const std::string& text :
       {long_ascii, long_unicode, std::string(100'000, '\xff'), std::string(5'000, '%')}) {
    const ErrorMetadata metadata = {{"first", std::string(600, 'f')},
                                    {"a", text},
                                    {"b", text.substr(0, 900)},
                                    {"c", text},
                                    {text, "d"},
                                    {"last", "kept"}};
    const Answer answer = Ask(MakeError(Reason::kTopicIdMismatch, text, metadata));
    EXPECT_LE(answer.WireBytes(), 4096u);
    EXPECT_GE(answer.status.error_message().size(), 300u);
    EXPECT_EQ(answer.info.reason(), "TOPIC_ID_MISMATCH");
    EXPECT_EQ(answer.info.metadata().count("last"), 1u) << "small metadata behind what did not fit is kept";
    EXPECT_EQ(answer.info.metadata().count("a"), 0u);
  }
}

TEST(StatusTest, AMessageIsCutBetweenCharacters) {
  std::string text(1023, 'x');
  text += "\xe2\x82\xac";
  const Answer answer = Ask(MakeError(Reason::kInternal, text));
  EXPECT_EQ(answer.status.error_message(), std::string(1023, 'x'));
}

TEST(StatusTest, BytesThatAreNotUtf8BecomeQuestionMarks) {
  const Answer answer = Ask(MakeError(Reason::kInternal,
                                      "a\xff"
                                      "b\xc0\xaf\xed\xa0\x80 \xe2\x82\xac \xf0\x9f\x98\x80",
                                      {{"k", "\xfe"}}));
  EXPECT_EQ(answer.status.error_message(), "a?b????? \xe2\x82\xac \xf0\x9f\x98\x80");
  EXPECT_EQ(answer.info.metadata().at("k"), "?");
}

TEST(StatusTest, AnErrorInsideAnAnswerSaysTheSame) {
  const naru::v1::Error error = ToError(MakeError(Reason::kOffsetOutOfRange, "before_offset: 9 is too high",
                                                  {{"log_start_offset", "0"}, {"high_watermark", "5"}}));
  EXPECT_EQ(error.code(), static_cast<int>(grpc::StatusCode::OUT_OF_RANGE));
  EXPECT_EQ(error.reason(), "OFFSET_OUT_OF_RANGE");
  EXPECT_EQ(error.message(), "before_offset: 9 is too high");
  EXPECT_THAT(error.metadata(),
              UnorderedElementsAre(Pair("log_start_offset", "0"), Pair("high_watermark", "5")));
  EXPECT_EQ(ToError(absl::OkStatus()).code(), 0);
  EXPECT_EQ(ToError(absl::UnknownError("?")).reason(), "INTERNAL");
}

}  // namespace
}  // namespace naru::services
