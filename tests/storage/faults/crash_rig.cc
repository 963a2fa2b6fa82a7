#include "tests/storage/faults/crash_rig.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <utility>

#include "absl/strings/str_cat.h"
#include "storage/base/check.h"
#include "storage/segments/segment_scanner.h"

namespace naru::testing {

namespace fs = std::filesystem;

StoreOptions CrashRig::SmallOptions() {
  StoreOptions options;
  options.segment_bytes = int64_t{1} << 20;
  options.tail_cache_bytes = 64 << 10;
  options.checkpoint_bytes = int64_t{1} << 20;
  options.disk_reserve_bytes = 0;
  options.maintenance_interval_ms = 3'600'000;
  options.background_sync_interval_ms = 1;
  options.compact_below_live_share = 0.5;
  options.reader_threads = 1;
  options.index_memory_bytes = int64_t{8} << 20;
  return options;
}

CrashRig::CrashRig(StoreOptions options) : options_(std::move(options)) {
  // The index needs no real disk, only real files; thousands are opened, so memory it is where there is any.
  std::string name = fs::is_directory("/dev/shm") ? "/dev/shm/naru-crash-XXXXXX" : "/tmp/naru-crash-XXXXXX";
  NARU_CHECK(::mkdtemp(name.data()) != nullptr);
  options_.directory = name;
  options_.on_fatal = [this](std::string_view) { dead_ = true; };
  older_index_ = absl::StrCat(name, "/older-index");
  files_.SetRealDirectory(options_.directory + "/index");
  NARU_CHECK_OK(files_.MakeDirectory(options_.directory));
}

CrashRig::~CrashRig() {
  if (store_ != nullptr) store_->Stop();
  store_.reset();
  std::error_code ignored;
  fs::remove_all(options_.directory, ignored);
}

std::vector<std::string> CrashRig::Segments() {
  std::vector<std::string> paths;
  const auto names = files_.List(SegmentsDirectory());
  if (!names.ok()) return paths;
  for (const std::string& name : *names) {
    if (name.ends_with(".seg")) paths.push_back(absl::StrCat(SegmentsDirectory(), "/", name));
  }
  return paths;
}

template <typename Result>
absl::AnyInvocable<void(Result)> CrashRig::Noting(std::shared_ptr<Outcome> outcome) {
  {
    absl::MutexLock lock(&pending_->mutex);
    ++pending_->count;
  }
  return [outcome = std::move(outcome), pending = pending_](const Result& result) {
    outcome->Set(result);
    absl::MutexLock lock(&pending->mutex);
    --pending->count;
  };
}

void CrashRig::Create(LogId log, LogSettings settings) {
  auto created = std::make_shared<Outcome>();
  NARU_CHECK(log > last_log_);
  last_log_ = log;
  logs_.emplace(log, ModeledLog{LogModel(settings), created, nullptr});
  auto done = Noting<absl::Status>(created);
  // Settings count from here on, also for appends that are sent before the log is durable.
  store_->CreateLogs({log}, std::move(done));
  Wait();
  if (created->state() == Outcome::State::kDone) (void)store_->Configure(log, settings);
}

void CrashRig::Delete(LogId log) {
  auto deleted = std::make_shared<Outcome>();
  logs_.at(log).deleted = deleted;
  store_->DeleteLogs({log}, Noting<absl::Status>(deleted));
}

void CrashRig::Append(LogId log, const TestBatch& batch, std::optional<ProducerStamp> producer) {
  auto outcome = Model(log).Append(batch, producer, clock_.NowMs());
  AppendRequest request = AppendOf(log, batch);
  request.producer = producer;
  store_->Append(std::move(request), Noting<absl::StatusOr<Appended>>(std::move(outcome)));
}

void CrashRig::Truncate(LogId log, Offset end) {
  auto outcome = Model(log).Truncate(end);
  store_->Truncate(log, end, Noting<absl::Status>(std::move(outcome)));
}

void CrashRig::MoveStart(LogId log, Offset start) {
  auto outcome = Model(log).MoveStart(start);
  store_->MoveLogStart(log, start, Noting<absl::Status>(std::move(outcome)));
}

void CrashRig::BeginEpoch(LogId log, LeaderEpoch epoch) {
  auto outcome = Model(log).BeginEpoch(epoch);
  store_->BeginEpoch(log, epoch, Noting<absl::Status>(std::move(outcome)));
}

void CrashRig::Wait() {
  absl::MutexLock lock(&pending_->mutex);
  const bool done =
      pending_->mutex.AwaitWithTimeout(absl::Condition(
                                           +[](int* count) { return *count == 0; }, &pending_->count),
                                       absl::Seconds(60));
  if (!done)
    Die(__FILE__, __LINE__, "operations do not complete", absl::StrCat(pending_->count, " are left"));
}

std::vector<LogId> CrashRig::Live() const {
  std::vector<LogId> live;
  for (const auto& [id, log] : logs_) {
    if (log.deleted == nullptr && log.created->state() == Outcome::State::kDone) live.push_back(id);
  }
  return live;
}

absl::Status CrashRig::Open() {
  NARU_CHECK(store_ == nullptr);
  CopyIndex();
  segments_when_opened_ = Segments();
  dead_ = false;
  auto opened = PartitionStore::Open(options_, files_, clock_, events_);
  if (!opened.ok()) return opened.status();
  store_ = *std::move(opened);
  for (const LogId log : Live()) (void)store_->Configure(log, Model(log).settings());
  return absl::OkStatus();
}

void CrashRig::Close() {
  store_->Stop();
  Wait();
  store_.reset();
}

void CrashRig::Crash(const Survival& survival, IndexFate fate) {
  files_.CutPower();
  if (store_ != nullptr) Close();
  files_.Restore(survival);
  DecideIndex(fate);
}

void CrashRig::Kill(IndexFate fate) {
  files_.CutPower();
  if (store_ != nullptr) Close();
  files_.Revive();
  DecideIndex(fate);
}

void CrashRig::DecideIndex(IndexFate fate) {
  std::error_code ignored;
  if (fate == IndexFate::kLost) fs::remove_all(options_.directory + "/index", ignored);
  if (fate == IndexFate::kOlder) RestoreOlderIndex();
}

void CrashRig::CopyIndex() {
  std::error_code ignored;
  fs::remove_all(older_index_, ignored);
  fs::copy(options_.directory + "/index", older_index_, fs::copy_options::recursive, ignored);
}

void CrashRig::RestoreOlderIndex() {
  const std::vector<std::string> now = Segments();
  for (const std::string& path : segments_when_opened_) {
    if (std::find(now.begin(), now.end(), path) == now.end()) return;
  }
  std::error_code ignored;
  fs::remove_all(options_.directory + "/index", ignored);
  fs::copy(older_index_, options_.directory + "/index", fs::copy_options::recursive, ignored);
}

std::string CrashRig::CheckLog(LogId id, ModeledLog& log, bool there) {
  if (log.deleted != nullptr && log.deleted->state() == Outcome::State::kDone) {
    return there ? "is there though it was deleted" : "";
  }
  if (!there) {
    if (log.deleted != nullptr || log.created->state() != Outcome::State::kDone) return "";
    return "is gone";
  }
  log.created->Set(absl::OkStatus());
  log.deleted.reset();
  const absl::StatusOr<LogInfo> info = store_->Info(id);
  if (!info.ok()) return absl::StrCat("cannot be asked: ", info.status().ToString());
  if (info->durable_end != info->end || info->readable_end != info->end) return "is not durable to its end";
  return log.model.Settle(PortraitOf(*store_, id));
}

std::string CrashRig::Check() {
  const std::vector<LogId> there = store_->Logs();
  for (const LogId id : there) {
    if (!logs_.contains(id)) return absl::StrCat("log ", id.value(), " was never made");
  }
  for (auto at = logs_.begin(); at != logs_.end();) {
    const bool is_there = std::binary_search(there.begin(), there.end(), at->first);
    const std::string problem = CheckLog(at->first, at->second, is_there);
    if (!problem.empty()) return absl::StrCat("log ", at->first.value(), ": ", problem);
    at = is_there ? std::next(at) : logs_.erase(at);
  }
  return "";
}

std::string CrashRig::Describe() {
  constexpr size_t kBytesMax = 100'000;
  static constexpr const char* kTypes[] = {"?",        "batch",           "create",  "delete", "starts",
                                           "truncate", "epoch",           "reclaim", "move",   "mark",
                                           "snapshot", "remove segments", "rewrite"};
  std::string text;
  for (const std::string& path : Segments()) {
    auto file = files_.OpenForRead(path);
    if (!file.ok()) return absl::StrCat(path, " cannot be opened");
    const std::string contents = files_.Contents(path);
    const auto header = DecodeSegmentHeader(std::string_view(contents).substr(0, kSegmentHeaderBytes));
    if (!header.ok() || !header->has_value()) {
      absl::StrAppend(&text, path, " has no header\n");
      continue;
    }
    absl::StrAppend(&text, path, " from ", (*header)->first_sequence.value(), "\n");
    const Segment segment((*header)->id, path, *std::move(file), contents.size());
    SegmentScanner scanner(segment, (*header)->salt, kSegmentHeaderBytes);
    while (*scanner.Next() == SegmentScanner::Found::kEntry && text.size() < kBytesMax) {
      const EntryHeader& entry = scanner.header();
      absl::StrAppend(&text, "  ", scanner.position(), " #", entry.sequence.value(), " durable ",
                      entry.durable_sequence.value(), " ", kTypes[static_cast<size_t>(entry.type)], " log ",
                      entry.log.value(), " [", entry.base_offset.value(), ",", entry.next_offset().value(),
                      ") flags ", static_cast<int>(entry.flags), " body ", entry.body_length, "\n");
    }
  }
  return text;
}

}  // namespace naru::testing
