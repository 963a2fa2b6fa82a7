#include "storage/store/recovery.h"

#include <algorithm>
#include <random>
#include <utility>

#include "storage/base/status.h"
#include "storage/segments/torn_tail.h"

namespace naru {
namespace {

constexpr char kAsideIndex[] = "index";
// The index writes files of its own before it can be read. Where they find no room, RocksDB ends the process
// without a word about why.
constexpr uint64_t kIndexOpenBytes = uint64_t{1} << 20;

}  // namespace

std::string SegmentsDirectory(const std::string& store) { return store + "/segments"; }
std::string IndexDirectory(const std::string& store) { return store + "/index"; }
std::string AsideDirectory(const std::string& store) { return store + "/aside"; }

absl::Status Recovery::Run() {
  NARU_RETURN_IF_ERROR(ListSegments());
  NARU_RETURN_IF_ERROR(CheckSalts());
  const bool fresh =
      std::none_of(files_.begin(), files_.end(), [](const SegmentFile& f) { return f.header; });
  if (fresh) NARU_RETURN_IF_ERROR(MakeFirstSegment());
  reader_ = std::make_unique<RunReader>(parts_.segments, salt);
  NARU_RETURN_IF_ERROR(OpenIndex());
  absl::Status recovered = RecoverState();
  // As long as there is no tail, no segment was changed.
  if (absl::IsDataLoss(recovered) && index->damaged() && tail == nullptr) {
    NARU_RETURN_IF_ERROR(SetIndexAside(recovered));
    NARU_RETURN_IF_ERROR(OpenIndex());
    recovered = RecoverState();
  }
  NARU_RETURN_IF_ERROR(recovered);
  last_sequence = applied_.sequence;
  NARU_RETURN_IF_ERROR(RemoveLeftovers());
  return FlushLongReplay();
}

absl::Status Recovery::RecoverState() {
  fold = std::make_unique<Fold>(parts_.logs, parts_.segment_table, *index, parts_.options.producer_expiry_ms);
  NARU_RETURN_IF_ERROR(LoadIndex());
  NARU_RETURN_IF_ERROR(CheckSegmentsOfIndex(applied_));
  NARU_RETURN_IF_ERROR(Replay());
  if (!rebuilding_) return absl::OkStatus();
  NARU_RETURN_IF_ERROR(CheckRebuilt(parts_.logs, *index));
  NARU_RETURN_IF_ERROR(CountBytesGone(parts_.logs, *index));
  return index->SetRebuilding(false);
}

absl::Status Recovery::FlushLongReplay() {
  StoreCounters& counters = parts_.counters;
  counters.applied_bytes.store(counters.replayed_bytes, std::memory_order_relaxed);
  if (counters.replayed_bytes < parts_.options.checkpoint_bytes / 2) return absl::OkStatus();
  NARU_RETURN_IF_ERROR(index->Flush());
  counters.checkpointed_bytes.store(counters.replayed_bytes, std::memory_order_relaxed);
  Count(counters.checkpoints);
  return absl::OkStatus();
}

absl::Status Recovery::RemoveLeftovers() {
  std::vector<SegmentId> leftovers;
  for (const SegmentId id : parts_.segments.Ids()) {
    if (id < tail->id() && !parts_.segment_table.Find(id)) leftovers.push_back(id);
  }
  if (leftovers.empty()) return absl::OkStatus();
  // An index that still has them must not be found without them.
  NARU_RETURN_IF_ERROR(index->Flush());
  for (const SegmentId id : leftovers) NARU_RETURN_IF_ERROR(parts_.segments.Remove(id));
  return parts_.files.SyncDirectory(SegmentsDirectory(parts_.options.directory));
}

absl::Status Recovery::Hole(const std::string& path, uint64_t position, const std::string& problem) const {
  return MakeError(Reason::kCorruptData,
                   absl::StrCat(path, " at ", position, ": ", problem,
                                ". Nothing was changed; `narud salvage --from=", parts_.options.directory,
                                " --to=NEW_DIRECTORY` copies out what still checks"));
}

absl::StatusOr<Recovery::SegmentFile> Recovery::OpenSegment(SegmentId id) {
  SegmentFile file;
  NARU_ASSIGN_OR_RETURN(file.segment, parts_.segments.Open(id));
  std::string block(kSegmentHeaderBytes, '\0');
  NARU_ASSIGN_OR_RETURN(const size_t read, file.segment->file().Read(0, block.data(), block.size()));
  block.resize(read);
  auto header = DecodeSegmentHeader(block);
  if (header.ok()) {
    file.header = *header;
    if (file.header && file.header->id != id) {
      file.header.reset();
      file.damage = absl::DataLossError("the header block is that of another segment");
    }
    return file;
  }
  if (absl::IsInvalidArgument(header.status())) {
    return absl::InvalidArgumentError(
        absl::StrCat(file.segment->path(), ": ", Std(header.status().message())));
  }
  file.damage = header.status();
  return file;
}

absl::Status Recovery::ListSegments() {
  const std::string directory = SegmentsDirectory(parts_.options.directory);
  NARU_ASSIGN_OR_RETURN(const auto names, parts_.files.List(directory));
  for (const std::string& name : names) {
    if (const auto id = SegmentIdFromFileName(name)) {
      NARU_ASSIGN_OR_RETURN(auto file, OpenSegment(*id));
      files_.push_back(std::move(file));
    }
  }
  std::sort(files_.begin(), files_.end(),
            [](const SegmentFile& a, const SegmentFile& b) { return a.segment->id() < b.segment->id(); });
  return absl::OkStatus();
}

absl::Status Recovery::CheckSalts() {
  bool found = false;
  for (const SegmentFile& file : files_) {
    if (!file.header) continue;
    if (found && file.header->salt != salt) {
      return Hole(file.segment->path(), 0, "the file belongs to another store");
    }
    salt = file.header->salt;
    found = true;
  }
  return absl::OkStatus();
}

absl::Status Recovery::MakeFirstSegment() {
  // Files without a header are what a first start leaves that did not come far; anything more is not.
  for (const SegmentFile& file : files_) {
    NARU_ASSIGN_OR_RETURN(const auto blank, IsZeroFrom(*file.segment, kSegmentHeaderBytes));
    if (!blank || file.segment->id() != SegmentId(1)) {
      return Hole(file.segment->path(), 0, "no segment has a good header");
    }
  }
  if (parts_.files.Exists(IndexDirectory(parts_.options.directory))) {
    // An index that speaks of entries has lost its segments.
    Index::Options options;
    options.directory = IndexDirectory(parts_.options.directory);
    options.any_store = true;
    options.events = &parts_.events;
    auto old = Index::Open(options);
    const auto applied = old.ok() ? (*old)->Applied() : absl::StatusOr<AppliedPosition>(old.status());
    if (!applied.ok() || applied->sequence.value() > 0) {
      return Hole(SegmentsDirectory(parts_.options.directory), 0,
                  "all segments are missing, but there is an index");
    }
    old->reset();
    NARU_RETURN_IF_ERROR(parts_.files.RemoveTree(options.directory));
  }
  files_.clear();
  salt = std::random_device()();
  SegmentFile file;
  NARU_ASSIGN_OR_RETURN(file.segment, parts_.segments.Create(
                                          SegmentId(1), static_cast<uint64_t>(parts_.options.segment_bytes)));
  SegmentHeader header;
  header.salt = salt;
  header.id = SegmentId(1);
  header.first_sequence = Sequence(1);
  header.created_ms = parts_.clock.NowMs();
  std::string block = EncodeSegmentHeader(header);
  const iovec piece{block.data(), block.size()};
  NARU_RETURN_IF_ERROR(file.segment->file().Write(0, {&piece, 1}));
  NARU_RETURN_IF_ERROR(file.segment->file().Sync());
  file.header = header;
  files_.push_back(std::move(file));
  return absl::OkStatus();
}

std::string Recovery::AsidePath(const std::string& name) const {
  // The clock may stand still or have been set back: something random tells apart what was set aside at one
  // time.
  return absl::StrCat(AsideDirectory(parts_.options.directory), "/", name, ".", parts_.clock.NowMs(), ".",
                      absl::Hex(std::random_device()()));
}

absl::Status Recovery::CheckRoomForIndex() const {
  auto space = parts_.files.Space(IndexDirectory(parts_.options.directory));
  if (!space.ok()) space = parts_.files.Space(parts_.options.directory);
  if (!space.ok() || space->available_bytes >= kIndexOpenBytes) return absl::OkStatus();
  return MakeError(Reason::kStorageFull,
                   absl::StrCat(parts_.options.directory, ": the disk has ", space->available_bytes,
                                " bytes available; a start takes ", kIndexOpenBytes, " to open the index"));
}

absl::Status Recovery::OpenIndex() {
  NARU_RETURN_IF_ERROR(CheckRoomForIndex());
  Index::Options options;
  options.directory = IndexDirectory(parts_.options.directory);
  options.memory_bytes = parts_.options.index_memory_bytes;
  options.verify_bytes_max = parts_.options.index_verify_bytes_max;
  options.store_salt = salt;
  options.events = &parts_.events;
  options.on_fatal = [fatal = &parts_.fatal](std::string_view what) { fatal->Raise(what); };
  auto opened = Index::Open(options);
  if (!opened.ok() && absl::IsDataLoss(opened.status())) {
    NARU_RETURN_IF_ERROR(SetIndexAside(opened.status()));
    opened = Index::Open(options);
  }
  if (!opened.ok()) return opened.status();
  index = *std::move(opened);
  return absl::OkStatus();
}

absl::Status Recovery::SetIndexAside(const absl::Status& problem) {
  // Nothing of what it said counts any more; the segments have it all.
  fold.reset();
  index.reset();
  parts_.logs.Clear();
  parts_.segment_table.Clear();
  parts_.counters.replayed_entries = parts_.counters.replayed_bytes = 0;
  update_ = IndexUpdate();
  end_position_ = kSegmentHeaderBytes;
  rebuild_.reset();
  in_gap_ = rebuilding_ = ended_ = false;
  const std::string directory = AsideDirectory(parts_.options.directory);
  const std::string aside = AsidePath(kAsideIndex);
  parts_.events.Write(Severity::kWarning, "index_damaged",
                      {{"problem", Std(problem.message())}, {"set_aside_as", aside}});
  NARU_RETURN_IF_ERROR(parts_.files.MakeDirectory(directory));
  // One is enough to look into, and a rebuild that is killed time and again would fill the disk with them.
  NARU_ASSIGN_OR_RETURN(const auto names, parts_.files.List(directory));
  for (const std::string& name : names) {
    if (name.starts_with(absl::StrCat(kAsideIndex, "."))) {
      NARU_RETURN_IF_ERROR(parts_.files.RemoveTree(absl::StrCat(directory, "/", name)));
    }
  }
  NARU_RETURN_IF_ERROR(parts_.files.Rename(IndexDirectory(parts_.options.directory), aside));
  return parts_.files.SyncDirectory(parts_.options.directory);
}

absl::Status Recovery::LoadIndex() {
  const absl::Status loaded = LoadRows();
  if (absl::IsDataLoss(loaded)) index->NoteDamage(Std(loaded.message()));
  return loaded;
}

absl::Status Recovery::LoadRows() {
  NARU_ASSIGN_OR_RETURN(applied_, index->Applied());
  NARU_ASSIGN_OR_RETURN(const Sequence snapshot, index->Snapshot());
  fold->set_snapshot_sequence(snapshot);
  NARU_RETURN_IF_ERROR(index->VisitLogs([&](LogId id, std::string_view row) {
    const auto log = parts_.logs.Make(id);
    absl::MutexLock lock(&log->mutex);
    return DecodeLogRow(row, *log);
  }));
  NARU_RETURN_IF_ERROR(index->VisitProducers([&](LogId id, std::string_view entry) {
    const auto log = parts_.logs.Find(id);
    if (log == nullptr) return absl::DataLossError(absl::StrCat("a producer's row of no log: ", id.value()));
    absl::MutexLock lock(&log->mutex);
    return log->state.RestoreProducer(entry);
  }));
  NARU_RETURN_IF_ERROR(index->VisitDead([&](LogId first, LogId last) { parts_.logs.AddDead(first, last); }));
  NARU_ASSIGN_OR_RETURN(const auto doomed, index->Doomed());
  for (const LogId id : doomed) fold->AddDoomed(id);
  NARU_ASSIGN_OR_RETURN(const auto rows, index->Segments());
  for (const SegmentRow& row : rows) parts_.segment_table.Load(row);
  return absl::OkStatus();
}

absl::Status Recovery::CheckSegmentsOfIndex(const AppliedPosition& applied) {
  if (applied.sequence.value() == 0) return absl::OkStatus();
  for (const SegmentRow& row : parts_.segment_table.Rows()) {
    const bool there = std::any_of(files_.begin(), files_.end(), [&](const SegmentFile& file) {
      return file.segment->id() == row.id && file.header;
    });
    if (!there) {
      return Hole(parts_.segments.PathOf(row.id), 0,
                  absl::StrCat("the segment is missing or its header damaged; the index has ", row.live_bytes,
                               " live bytes in it"));
    }
  }
  // What has no row was given up, and a crash came before its file was removed.
  Files kept;
  for (SegmentFile& file : files_) {
    const SegmentId id = file.segment->id();
    if (id < applied.segment && !parts_.segment_table.Find(id)) {
      NARU_RETURN_IF_ERROR(parts_.files.Remove(file.segment->path()));
    } else {
      kept.push_back(std::move(file));
    }
  }
  files_ = std::move(kept);
  if (std::none_of(files_.begin(), files_.end(),
                   [&](const SegmentFile& file) { return file.segment->id() == applied.segment; })) {
    return Hole(parts_.segments.PathOf(applied.segment), applied.position, "the newest segment is missing");
  }
  return absl::OkStatus();
}

}  // namespace naru
