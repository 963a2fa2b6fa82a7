// Stores opened from mutated segments and a mutated index, and the decoders of everything that is stored: no
// crash, no hang, and never a batch that was not written. Damage that its checksum shows is mode 1; mode 2
// also makes the checksums right again and changes rows of the index, so that the rules behind the checksums
// are reached.
//
// Input: one byte of mode, then mutations of six bytes (see Mutation), or in mode 0 bytes for the decoders.
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "storage/base/check.h"
#include "storage/base/coding.h"
#include "storage/base/crc32c.h"
#include "storage/base/status.h"
#include "storage/index/index.h"
#include "storage/index/index_codec.h"
#include "storage/log/log_state.h"
#include "storage/segments/control_bodies.h"
#include "storage/segments/segment_scanner.h"
#include "storage/store/partition_store.h"
#include "tests/storage/faults/faulty_files.h"
#include "tests/storage/log/record_batches.h"

namespace naru {
namespace {

namespace fs = std::filesystem;
using testing::FaultyFiles;

constexpr size_t kMutationsMax = 12;
constexpr LogId kLogs[] = {LogId(1), LogId(2), LogId(3)};

// --- Mode 0.

void Decode(std::string_view bytes) {
  (void)LogState::Decode(bytes);
  (void)LogState::DecodeHead(bytes);
  (void)LogState().RestoreProducer(bytes);
  (void)DecodeLogIds(bytes);
  (void)DecodeStartMoves(bytes);
  (void)DecodeTruncation(bytes);
  (void)DecodeEpochs(bytes);
  (void)DecodeReclaims(bytes);
  (void)DecodeMoveTable(bytes);
  (void)DecodeSegmentIds(bytes);
  (void)DecodeSnapshotPiece(bytes);
  (void)DecodeSegmentHeader(bytes);
  EntryHeader header;
  (void)ParseEntryHeader(bytes, 0, header);
  (void)SegmentIdFromFileName(bytes);
  const size_t cut = bytes.empty() ? 0 : static_cast<uint8_t>(bytes[0]) % (bytes.size() + 1);
  (void)index_codec::IdOf(bytes);
  (void)index_codec::RunBase(bytes);
  (void)index_codec::DecodeApplied(bytes);
  (void)index_codec::DecodeSegmentRow(SegmentId(1), bytes);
  (void)index_codec::DecodeRunRow(bytes.substr(0, cut), bytes.substr(cut));
}

// --- The store that is mutated: made once.

struct Entry {
  std::string path;
  uint64_t position = 0;
  EntryHeader header;
};

class Original {
 public:
  Original();
  ~Original() { fs::remove_all(directory_); }

  const std::string& directory() const { return directory_; }
  std::string index() const { return directory_ + "/index"; }
  std::string index_copy() const { return directory_ + "/index-copy"; }
  const StoreOptions& options() const { return options_; }
  const std::map<std::string, std::string>& segments() const { return segments_; }
  const std::vector<Entry>& entries() const { return entries_; }
  uint32_t salt() const { return salt_; }
  // A batch that was written at this place.
  bool Wrote(LogId log, const StoredBatchView& batch) const {
    const auto at = crcs_.find({log, batch.base_offset});
    return at != crcs_.end() && at->second.contains(Crc32c(batch.bytes));
  }

 private:
  void Fill(PartitionStore& store);
  void Append(PartitionStore& store, LogId log, std::string value, size_t bytes);
  void ListEntries(FaultyFiles& files);

  std::string directory_;
  StoreOptions options_;
  std::map<std::string, std::string> segments_;
  std::vector<Entry> entries_;
  uint32_t salt_ = 0;
  std::map<std::pair<LogId, Offset>, std::set<uint32_t>> crcs_;
};

template <typename Result, typename Call>
Result Await(Call call) {
  absl::Notification notification;
  Result result = absl::UnknownError("");
  call([&](Result answer) {
    result = std::move(answer);
    notification.Notify();
  });
  notification.WaitForNotification();
  return result;
}

Original::Original() {
  directory_ = fs::is_directory("/dev/shm") ? "/dev/shm/naru-fuzz-XXXXXX" : "/tmp/naru-fuzz-XXXXXX";
  NARU_CHECK(::mkdtemp(directory_.data()) != nullptr);
  options_.directory = directory_;
  options_.segment_bytes = int64_t{1} << 20;
  options_.tail_cache_bytes = 0;
  options_.disk_reserve_bytes = 0;
  options_.maintenance_interval_ms = 3'600'000;
  options_.index_memory_bytes = int64_t{4} << 20;
  options_.reader_threads = 1;
  options_.on_fatal = [](std::string_view) {};
  FaultyFiles files;
  NARU_CHECK_OK(files.MakeDirectory(directory_));
  ManualClock clock;
  NullEventLog events;
  auto store = PartitionStore::Open(options_, files, clock, events);
  NARU_CHECK_OK(store.status());
  Fill(**store);
  (*store)->Stop();
  store->reset();
  ListEntries(files);
  fs::copy(index(), index_copy(), fs::copy_options::recursive);
}

void Original::Append(PartitionStore& store, LogId log, std::string value, size_t bytes) {
  const testing::TestBatch batch = testing::MakeLargeBatch(std::move(value), bytes);
  AppendRequest request = testing::AppendOf(log, batch);
  request.producer = ProducerStamp{5, store.Info(log)->leader_epoch.value() + 1, 0};
  const auto appended =
      Await<absl::StatusOr<Appended>>([&](auto done) { store.Append(std::move(request), std::move(done)); });
  NARU_CHECK_OK(appended.status());
  crcs_[{log, appended->base_offset}].insert(batch.info.crc32c);
}

void Original::Fill(PartitionStore& store) {
  const auto check = [](const absl::Status& status) { NARU_CHECK_OK(status); };
  check(Await<absl::Status>([&](auto done) {
    store.CreateLogs({kLogs[0], kLogs[1], kLogs[2]}, std::move(done));
  }));
  for (int32_t round = 0; round < 4; ++round) {
    for (const LogId log : kLogs) {
      check(Await<absl::Status>(
          [&](auto done) { store.BeginEpoch(log, LeaderEpoch(round), std::move(done)); }));
      Append(store, log, absl::StrCat("batch ", round), log == kLogs[0] ? 200'000 : 300);
    }
  }
  check(Await<absl::Status>([&](auto done) { store.Truncate(kLogs[1], Offset(2), std::move(done)); }));
  Append(store, kLogs[1], "again", 400);
  check(Await<absl::Status>([&](auto done) { store.MoveLogStart(kLogs[2], Offset(2), std::move(done)); }));
  check(store.Checkpoint());
  Append(store, kLogs[0], "in the next segment", 400'000);
  check(store.RunMaintenance());
  Append(store, kLogs[2], "last", 100);
}

void Original::ListEntries(FaultyFiles& files) {
  const std::string directory = directory_ + "/segments";
  const std::vector<std::string> names = *files.List(directory);
  for (const std::string& name : names) {
    const std::string path = absl::StrCat(directory, "/", name);
    std::string& contents = segments_[path];
    contents = files.Contents(path);
    const auto header = DecodeSegmentHeader(std::string_view(contents).substr(0, kSegmentHeaderBytes));
    if (!header.ok() || !header->has_value()) continue;
    salt_ = (*header)->salt;
    const Segment segment((*header)->id, path, *files.OpenForRead(path), contents.size());
    SegmentScanner scanner(segment, salt_, kSegmentHeaderBytes);
    while (*scanner.Next() == SegmentScanner::Found::kEntry) {
      entries_.push_back({path, scanner.position(), scanner.header()});
    }
  }
  NARU_CHECK(!entries_.empty());
}

Original& TheOriginal() {
  static std::unique_ptr<Original> original = std::make_unique<Original>();
  return *original;
}

// --- Modes 1 and 2.

struct Mutation {
  uint8_t entry = 0;    // which
  uint16_t offset = 0;  // in it, or what the operation makes of it
  uint8_t operation = 0;
  uint16_t value = 0;
};

using Contents = std::map<std::string, std::string>;

void FixChecksums(std::string& contents, uint64_t position, uint32_t salt) {
  if (position + kFixedHeaderBytes > contents.size()) return;
  EntryHeader header;
  header.flags = static_cast<uint8_t>(contents[position + 13]);
  header.body_length = GetLittle<uint32_t>(&contents[position + 8]);
  const uint64_t end = position + header.header_bytes() + header.body_length;
  if (end > contents.size()) return;
  const std::string_view entry = std::string_view(contents).substr(position, end - position);
  PutLittle<uint32_t>(&contents[position + 4], Crc32c(entry.substr(header.header_bytes())));
  PutLittle<uint32_t>(&contents[position], ExtendCrc32c(salt, entry.substr(4, header.header_bytes() - 4)));
}

void MutateSegments(const Mutation& mutation, bool fix_checksums, Contents& contents) {
  const Original& original = TheOriginal();
  const Entry& entry = original.entries()[mutation.entry % original.entries().size()];
  const auto file = contents.find(entry.path);
  if (file == contents.end()) return;
  std::string& bytes = file->second;
  const size_t span = entry.header.header_bytes() + std::min<size_t>(entry.header.body_length, 1'000);
  const uint64_t at = mutation.operation % 16 == 15 ? mutation.offset % kSegmentHeaderBytes
                                                    : entry.position + mutation.offset % span;
  if (at >= bytes.size()) return;
  switch (mutation.operation % 8) {
    case 0:
    case 7:
      bytes[at] = static_cast<char>(mutation.value);
      break;
    case 1:
      bytes[at] = static_cast<char>(bytes[at] ^ (1 << mutation.value % 8));
      break;
    case 2:
      std::fill_n(bytes.begin() + static_cast<std::ptrdiff_t>(at),
                  std::min<size_t>(mutation.value, bytes.size() - at), '\0');
      break;
    case 3: {  // another entry over this one
      const Entry& other = original.entries()[mutation.value % original.entries().size()];
      const std::string copied =
          original.segments().at(other.path).substr(other.position, other.header.entry_bytes());
      if (entry.position + copied.size() <= bytes.size())
        bytes.replace(entry.position, copied.size(), copied);
      return;
    }
    case 4:
      bytes.resize(at);
      return;
    case 5:
      if (mutation.value % 4 == 0) contents.erase(file);
      return;
    default:  // a number in the header, to something near or far
      if (entry.position + 72 <= bytes.size()) {
        char* const field = &bytes[entry.position + 8 + mutation.offset % 16 * 4];
        PutLittle<uint32_t>(field,
                            GetLittle<uint32_t>(field) + static_cast<uint32_t>(int16_t(mutation.value)));
      }
  }
  if (fix_checksums) FixChecksums(bytes, entry.position, original.salt());
}

void MutateIndex(const Mutation& mutation, Index& index) {
  const LogId log = kLogs[mutation.entry % 3];
  const auto change = static_cast<int64_t>(static_cast<int16_t>(mutation.value));
  IndexUpdate update;
  auto runs = index.RunsFrom(log, Offset(0), Offset(INT64_MAX), 100);
  switch (mutation.operation % 6) {
    case 0:
      if (!runs.ok() || runs->empty()) return;
      {
        Run run = (*runs)[mutation.offset % runs->size()];
        if (mutation.offset & 0x100) run.position += static_cast<uint64_t>(change);
        if (mutation.offset & 0x200) run.length += static_cast<uint32_t>(change);
        if (mutation.offset & 0x400) run.next += change;
        if (mutation.offset & 0x800) run.base += change;
        if (mutation.offset & 0x1000) run.segment = SegmentId(static_cast<uint64_t>(change));
        if (mutation.offset & 0x2000) run.batch_count += static_cast<uint32_t>(change);
        update.PutRun(log, run);
      }
      break;
    case 1:
      if (!runs.ok() || runs->empty()) return;
      update.DeleteRun(log, (*runs)[mutation.offset % runs->size()].base);
      break;
    case 2: {
      auto applied = index.Applied();
      if (!applied.ok()) return;
      if (mutation.offset & 1) applied->position += static_cast<uint64_t>(change);
      if (mutation.offset & 2)
        applied->sequence = Sequence(applied->sequence.value() + static_cast<uint64_t>(change));
      if (mutation.offset & 4) applied->segment = SegmentId(static_cast<uint64_t>(change));
      update.SetApplied(*applied);
      break;
    }
    case 3: {
      std::string head;
      (void)index.VisitLogs([&](LogId id, std::string_view row) {
        if (id == log) head = std::string(row);
        return absl::OkStatus();
      });
      if (head.empty()) return;
      head[mutation.offset % head.size()] = static_cast<char>(mutation.value);
      update.PutLog(log, head);
      break;
    }
    case 4:
      update.PutProducer(log, mutation.offset,
                         std::string(mutation.value % 200, static_cast<char>(mutation.value)));
      break;
    default:
      update.DeleteLog(log);
  }
  (void)index.Commit(std::move(update));
  (void)index.Flush();
}

void ReadEverything(PartitionStore& store, bool only_what_was_written) {
  for (const LogId log : store.Logs()) {
    const auto info = store.Info(log);
    if (!info.ok()) continue;
    size_t reads = 0;
    for (Offset from = info->log_start; from < info->readable_end && reads < 50; ++reads) {
      ReadRequest request;
      request.log = log;
      request.from = from;
      const auto read =
          Await<absl::StatusOr<ReadResult>>([&](auto done) { store.Read(request, std::move(done)); });
      if (!read.ok() || read->batches.empty()) break;
      for (const StoredBatchView& batch : read->batches) {
        NARU_CHECK(Crc32c(batch.bytes) == batch.crc32c);
        if (only_what_was_written) NARU_CHECK(TheOriginal().Wrote(log, batch));
      }
      NARU_CHECK(read->batches.front().next_offset > from);
      from = read->batches.back().next_offset;
    }
    (void)Await<absl::StatusOr<std::optional<TimedOffset>>>(
        [&](auto done) { store.FindByTime(log, 1'000, std::move(done)); });
    (void)store.Producers(log);
    (void)store.EndOffsetForEpoch(log, LeaderEpoch(2));
  }
}

void Recover(bool deep, std::string_view input) {
  const Original& original = TheOriginal();
  const bool index_lost = !input.empty() && input[0] % 2 == 0;
  Contents contents = original.segments();
  fs::remove_all(original.index());
  fs::remove_all(original.directory() + "/aside");
  std::unique_ptr<Index> index;
  if (!index_lost) {
    fs::copy(original.index_copy(), original.index(), fs::copy_options::recursive);
    if (deep) {
      Index::Options options;
      options.directory = original.index();
      options.memory_bytes = int64_t{4} << 20;
      options.store_salt = original.salt();
      options.on_fatal = [](std::string_view) {};
      auto opened = Index::Open(options);
      NARU_CHECK_OK(opened.status());
      index = *std::move(opened);
    }
  }
  LittleReader reader(input.substr(std::min<size_t>(1, input.size())));
  const bool untouched = reader.remaining() < 6;
  for (size_t i = 0; i < kMutationsMax && reader.remaining() >= 6; ++i) {
    Mutation mutation;
    mutation.entry = reader.Take<uint8_t>();
    mutation.offset = reader.Take<uint16_t>();
    mutation.operation = reader.Take<uint8_t>();
    mutation.value = reader.Take<uint16_t>();
    if (index != nullptr && mutation.operation >= 128) {
      MutateIndex(mutation, *index);
    } else {
      MutateSegments(mutation, deep, contents);
    }
  }
  index.reset();

  FaultyFiles files;
  files.SetRealDirectory(original.index());
  NARU_CHECK_OK(files.MakeDirectory(original.directory() + "/segments"));
  for (auto& [path, bytes] : contents) files.SetContents(path, std::move(bytes));
  ManualClock clock;
  NullEventLog events;
  auto store = PartitionStore::Open(original.options(), files, clock, events);
  if (untouched) NARU_CHECK_OK(store.status());
  if (!store.ok()) return;
  ReadEverything(**store, !deep);
  (void)(*store)->RunMaintenance();
  ReadEverything(**store, !deep);
  (*store)->Stop();
}

void RunInput(std::string_view input) {
  if (input.empty()) return;
  const int mode = static_cast<uint8_t>(input[0]) % 3;
  input.remove_prefix(1);
  if (mode == 0) return Decode(input);
  Recover(mode == 2, input);
}

}  // namespace
}  // namespace naru

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  naru::RunInput(std::string_view(reinterpret_cast<const char*>(data), size));
  return 0;
}
