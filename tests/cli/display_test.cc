// What the commands show around the records: tables, progress, latencies, failures, completion scripts.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "storage/base/status.h"
#include "tools/cli/completion.h"
#include "tools/cli/failure.h"
#include "tools/cli/latency_histogram.h"
#include "tools/cli/progress_line.h"
#include "tools/cli/table.h"

namespace naru::cli {
namespace {

using ::testing::HasSubstr;

TEST(Table, ColumnsAreAlignedAndLinesEndWithoutSpaces) {
  Table table({{"NAME"}, {"COUNT", Table::Align::kRight}, {"NOTE"}});
  table.AddRow({"long-name", "7", ""});
  table.AddRow({"größe", "1234567", "x"});
  EXPECT_EQ(table.Render(),
            "NAME         COUNT  NOTE\n"
            "long-name        7\n"
            "größe      1234567  x\n");
}

TEST(LatencyHistogram, PercentilesAreWithinAFewPerCent) {
  LatencyHistogram histogram;
  for (int i = 1; i <= 1'000; ++i) histogram.Add(absl::Milliseconds(i));
  EXPECT_NEAR(absl::ToDoubleMilliseconds(histogram.Percentile(0.5)), 500, 20);
  EXPECT_NEAR(absl::ToDoubleMilliseconds(histogram.Percentile(0.99)), 990, 35);
  EXPECT_EQ(histogram.Percentile(1), absl::Milliseconds(1'000));
  EXPECT_EQ(histogram.max(), absl::Milliseconds(1'000));
}

TEST(LatencyHistogram, EveryLatencyHasABucketWhoseBoundItDoesNotPass) {
  for (int64_t us : {0ll, 1ll, 31ll, 32ll, 33ll, 63ll, 64ll, 1'000ll, 123'456'789ll, 3'599'000'000ll}) {
    LatencyHistogram histogram;
    histogram.Add(absl::Microseconds(us));
    histogram.Add(absl::Hours(2));
    const int64_t bound = absl::ToInt64Microseconds(histogram.Percentile(0.5));
    EXPECT_GE(bound, us);
    EXPECT_LE(bound, us + us / 31);
  }
}

TEST(LatencyHistogram, EmptyItGivesZero) {
  EXPECT_EQ(LatencyHistogram().Percentile(0.99), absl::ZeroDuration());
}

TEST(ProgressLine, ShowsABarWhenTheSizeIsKnownAndFitsTheTerminal) {
  Progress progress{
      .records = 500, .bytes = 50, .total_bytes = 100, .acknowledged = 400, .elapsed = absl::Seconds(2)};
  EXPECT_THAT(RenderProgress(progress, 100), HasSubstr("[####"));
  EXPECT_THAT(RenderProgress(progress, 100), HasSubstr(" 50 % 500 records, 400 acknowledged, 200/s"));
  for (int width : {0, 1, 10, 40, 80, 200}) {
    EXPECT_LT(RenderProgress(progress, width).size(), static_cast<size_t>(std::max(width, 1)));
  }
  progress.total_bytes = 0;
  EXPECT_EQ(RenderProgress(progress, 100), "500 records, 400 acknowledged, 200/s, 50 B");
}

TEST(Failure, IsOneLineWithItsReasonAndWhatToDo) {
  const absl::Status status = MakeError(Reason::kStorageFull, "the disk\nis nearly full");
  const std::string line = FailureLine(status);
  EXPECT_EQ(line.find('\n'), std::string::npos);
  EXPECT_THAT(line, HasSubstr("naru: the disk is nearly full (STORAGE_FULL); free disk space"));
}

TEST(Failure, ExitCodesAreTheDocumentedOnes) {
  EXPECT_EQ(ExitCodeOf(absl::OkStatus()), 0);
  EXPECT_EQ(ExitCodeOf(absl::InternalError("")), 1);
  EXPECT_EQ(ExitCodeOf(MakeError(Reason::kTopicExists, "")), 1);
  EXPECT_EQ(ExitCodeOf(MakeError(Reason::kOffsetOutOfRange, "")), 1);
  EXPECT_EQ(ExitCodeOf(absl::InvalidArgumentError("")), 2);
  EXPECT_EQ(ExitCodeOf(MakeError(Reason::kTopicNotFound, "")), 3);
  EXPECT_EQ(ExitCodeOf(MakeError(Reason::kPartitionNotFound, "")), 3);
  EXPECT_EQ(ExitCodeOf(absl::UnavailableError("")), 4);
  EXPECT_EQ(ExitCodeOf(absl::DeadlineExceededError("")), 4);
  EXPECT_EQ(ExitCodeOf(MakeError(Reason::kStorageFull, "")), 4);
}

TEST(Completion, ThereIsAScriptForEveryShellItNames) {
  const std::vector<CompletionCommand> commands = {
      {.path = "", .subcommands = {"topic"}},
      {.path = "topic",
       .options = {{.option = "--output", .values = {"table", "json"}}},
       .takes_topic = true}};
  for (const char* shell : {"bash", "zsh", "fish"}) {
    const auto script = CompletionScript(shell, commands);
    ASSERT_TRUE(script.has_value());
    EXPECT_THAT(*script, HasSubstr("topic"));
    EXPECT_THAT(*script, HasSubstr("table json"));
    EXPECT_THAT(*script, HasSubstr("topic list --names"));
  }
  EXPECT_FALSE(CompletionScript("tcsh", commands).has_value());
}

}  // namespace
}  // namespace naru::cli
