#include "tests/storage/log/contract/store_contract.h"

#include <utility>

#include "absl/strings/str_cat.h"

namespace naru::testing {

void StoreContract::SetUp() {
  under_test_ = GetParam()();
  ASSERT_THAT(Create({kLog, kOther}), IsOk());
}

void StoreContract::TearDown() {
  if (under_test_ == nullptr) return;
  under_test_->HoldDurability(false);
  store().Stop();
}

absl::Status StoreContract::Create(std::vector<LogId> logs) {
  Awaited<absl::Status> done;
  store().CreateLogs(std::move(logs), done.Done());
  return done.Wait();
}

absl::Status StoreContract::Delete(std::vector<LogId> logs) {
  Awaited<absl::Status> done;
  store().DeleteLogs(std::move(logs), done.Done());
  return done.Wait();
}

absl::StatusOr<Appended> StoreContract::Append(AppendRequest request) {
  Awaited<absl::StatusOr<Appended>> done;
  store().Append(std::move(request), done.Done());
  return done.Wait();
}

absl::StatusOr<Appended> StoreContract::Append(LogId log, const std::vector<TestRecord>& records) {
  return Append(AppendOf(log, MakeBatch(records)));
}

int64_t StoreContract::AppendOk(LogId log, int count) {
  const absl::StatusOr<Appended> appended = Append(AppendOf(log, MakeBatchOf(count)));
  EXPECT_THAT(appended, IsOk());
  return appended.ok() ? appended->base_offset.value() : -1;
}

absl::StatusOr<Appended> StoreContract::AppendStamped(LogId log, ProducerStamp stamp, int count) {
  AppendRequest request = AppendOf(log, MakeBatchOf(count));
  request.producer = stamp;
  return Append(std::move(request));
}

absl::StatusOr<Appended> StoreContract::AppendAsReplica(ReplicaAppendRequest request) {
  Awaited<absl::StatusOr<Appended>> done;
  store().AppendAsReplica(std::move(request), done.Done());
  return done.Wait();
}

absl::StatusOr<ReadResult> StoreContract::Read(ReadRequest request) {
  Awaited<absl::StatusOr<ReadResult>> done;
  store().Read(std::move(request), done.Done());
  return done.Wait();
}

absl::StatusOr<ReadResult> StoreContract::Read(LogId log, int64_t from) {
  ReadRequest request;
  request.log = log;
  request.from = Offset(from);
  return Read(request);
}

std::vector<StoredBatchView> StoreContract::Batches(LogId log) {
  std::vector<StoredBatchView> all;
  Offset from = Info(log).log_start;
  for (;;) {
    absl::StatusOr<ReadResult> read = Read(log, from.value());
    EXPECT_THAT(read, IsOk());
    if (!read.ok() || read->batches.empty()) return all;
    from = read->batches.back().next_offset;
    all.insert(all.end(), read->batches.begin(), read->batches.end());
  }
}

std::vector<SeenRecord> StoreContract::Records(LogId log) {
  return RecordsOf(Batches(log), Info(log).log_start);
}

std::string StoreContract::FindByTime(LogId log, int64_t timestamp_ms) {
  Awaited<absl::StatusOr<std::optional<TimedOffset>>> done;
  store().FindByTime(log, timestamp_ms, done.Done());
  const auto found = done.Wait();
  if (!found.ok()) return ReasonText(found.status());
  if (!found->has_value()) return "none";
  return absl::StrCat((*found)->offset.value(), "@", (*found)->timestamp_ms);
}

absl::Status StoreContract::MoveLogStart(LogId log, int64_t start) {
  Awaited<absl::Status> done;
  store().MoveLogStart(log, Offset(start), done.Done());
  return done.Wait();
}

absl::Status StoreContract::Reset(LogId log, int64_t start, std::vector<ProducerState> producers) {
  Awaited<absl::Status> done;
  store().Reset(log, Offset(start), std::move(producers), done.Done());
  return done.Wait();
}

absl::Status StoreContract::Truncate(LogId log, int64_t end) {
  Awaited<absl::Status> done;
  store().Truncate(log, Offset(end), done.Done());
  return done.Wait();
}

absl::Status StoreContract::BeginEpoch(LogId log, int32_t epoch) {
  Awaited<absl::Status> done;
  store().BeginEpoch(log, LeaderEpoch(epoch), done.Done());
  return done.Wait();
}

LogInfo StoreContract::Info(LogId log) {
  const absl::StatusOr<LogInfo> info = store().Info(log);
  EXPECT_THAT(info, IsOk());
  return info.ok() ? *info : LogInfo{};
}

std::string StoreContract::EpochEndOf(LogId log, int32_t epoch) {
  const absl::StatusOr<EpochEnd> end = store().EndOffsetForEpoch(log, LeaderEpoch(epoch));
  if (!end.ok()) return ReasonText(end.status());
  return absl::StrCat(end->epoch.value(), ":", end->end.value());
}

std::string StoreContract::Producers(LogId log) {
  const absl::StatusOr<std::vector<ProducerState>> producers = store().Producers(log);
  if (!producers.ok()) return ReasonText(producers.status());
  std::string text;
  for (const ProducerState& producer : *producers) {
    if (!text.empty()) text += "; ";
    absl::StrAppend(&text, producer.producer_id, "/", producer.epoch, " next:", producer.next_sequence);
    for (const ProducerState::Batch& batch : producer.batches) {
      absl::StrAppend(&text, " [", batch.base_sequence, ",", batch.next_sequence, ")@",
                      batch.base_offset.value());
    }
  }
  return text;
}

std::string StoreContract::Portrait(LogId log) {
  const LogInfo info = Info(log);
  std::string text = absl::StrCat("start ", info.log_start.value(), " end ", info.end.value(), " durable ",
                                  info.durable_end.value(), " readable ", info.readable_end.value(),
                                  " epoch ", info.leader_epoch.value(), " size ", info.size_bytes,
                                  " last append ", info.last_append_time_ms, "\n");
  for (const StoredBatchView& batch : Batches(log)) {
    absl::StrAppend(&text, "[", batch.base_offset.value(), ",", batch.next_offset.value(), ") epoch ",
                    batch.leader_epoch.value(), " at ", batch.append_time_ms, " max ", batch.max_timestamp_ms,
                    " crc ", batch.crc32c, " records ", batch.record_count, " stamped ",
                    batch.append_time_stamped, " bytes ", std::string(batch.bytes).size(), "\n");
  }
  absl::StrAppend(&text, "producers ", Producers(log), "\nepochs");
  for (int32_t epoch = -1; epoch <= info.leader_epoch.value() + 1; ++epoch) {
    absl::StrAppend(&text, " ", epoch, "->", EpochEndOf(log, epoch));
  }
  return text;
}

std::string ReasonText(const absl::Status& status) {
  if (status.ok()) return "OK";
  if (const std::optional<Reason> reason = ReasonOf(status)) return std::string(ReasonName(*reason));
  return std::string(absl::StatusCodeToString(status.code()));
}

}  // namespace naru::testing
