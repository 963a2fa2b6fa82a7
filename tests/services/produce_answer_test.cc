#include "services/produce/produce_answer.h"

#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "naru/v1/produce.pb.h"
#include "storage/base/status.h"

namespace naru::services {
namespace {

// A record for each of 100,000 partitions, of which every second is refused, with as much text as can be.
std::vector<PartOutcome> ManyOutcomes() {
  std::vector<PartOutcome> outcomes;
  for (int i = 0; i < 100'000; ++i) {
    absl::StatusOr<Appended> appended =
        MakeError(Reason::kTooManyInFlight, std::string(500, 'x'), {{"limit", std::string(500, '9')}});
    if (i % 2 == 1) {
      appended = Appended{.base_offset = Offset(int64_t{1} << 40),
                          .next_offset = Offset((int64_t{1} << 40) + 1),
                          .append_time_ms = 1'795'205'456'261,
                          .log_start = Offset(int64_t{1} << 39)};
    }
    outcomes.push_back({PartitionId(i), appended, {static_cast<uint32_t>(99'999 - i)}, 10});
  }
  return outcomes;
}

void CheckResults(const google::protobuf::RepeatedPtrField<naru::v1::PartitionProduceResult>& results) {
  ASSERT_EQ(results.size(), 100'000);
  EXPECT_EQ(results[0].error().message().size(), 500u);
  EXPECT_EQ(results[400].error().metadata().at("limit").size(), 500u);
  for (const int later : {1'000, 99'998}) {
    EXPECT_EQ(results[later].error().reason(), "TOO_MANY_IN_FLIGHT");
    EXPECT_EQ(results[later].error().code(), 8);
    EXPECT_EQ(results[later].error().message(), "");
    EXPECT_TRUE(results[later].error().metadata().empty());
    EXPECT_EQ(results[later].record_indexes(0), static_cast<uint32_t>(99'999 - later));
  }
  EXPECT_EQ(results[99'999].base_offset(), int64_t{1} << 40);
}

TEST(ProduceAnswerTest, AnAnswerOfVeryManyFailuresStaysBelowWhatClientsTake) {
  constexpr size_t kClientsTake = 4 << 20;
  const std::vector<PartOutcome> outcomes = ManyOutcomes();
  const std::string unary = EncodeProduceResponse(outcomes);
  EXPECT_LT(unary.size(), kClientsTake);
  naru::v1::ProduceResponse response;
  ASSERT_TRUE(response.ParseFromString(unary));
  CheckResults(response.results());

  std::string streamed;
  AppendStreamResult(7, absl::OkStatus(), outcomes, streamed);
  EXPECT_LT(streamed.size(), kClientsTake);
  naru::v1::ProduceStreamResponse stream_response;
  ASSERT_TRUE(stream_response.ParseFromString(streamed));
  CheckResults(stream_response.results(0).results());
}

}  // namespace
}  // namespace naru::services
