#include "tests/storage/store/store_fixture.h"

#include <fstream>
#include <iterator>
#include <map>

#include "storage/base/check.h"

namespace naru::testing {
namespace {

// With their sizes.
std::map<std::string, uintmax_t> FilesIn(const std::string& directory) {
  std::map<std::string, uintmax_t> sizes;
  std::error_code gone;
  for (const auto& entry : std::filesystem::directory_iterator(directory)) {
    sizes[entry.path().filename()] = entry.file_size(gone);
  }
  return sizes;
}

}  // namespace

StoreTest::StoreTest() {
  std::string name = (std::filesystem::temp_directory_path() / "naru-store-XXXXXX").string();
  NARU_CHECK(mkdtemp(name.data()) != nullptr);
  root_ = name;
  options_.directory = root_ + "/0";
  options_.segment_bytes = int64_t{1} << 20;
  options_.checkpoint_bytes = int64_t{1} << 40;
  options_.disk_reserve_bytes = 0;
  // Maintenance runs when a test says so.
  options_.maintenance_interval_ms = 3'600'000;
}

StoreTest::~StoreTest() {
  store_.reset();
  std::filesystem::remove_all(root_);
}

absl::Status StoreTest::TryOpen() {
  store_.reset();
  auto opened = PartitionStore::Open(options_, *files_, clock_, events_);
  if (opened.ok()) store_ = *std::move(opened);
  return opened.status();
}

void StoreTest::Open() {
  const absl::Status opened = TryOpen();
  ASSERT_TRUE(opened.ok()) << opened;
}

void StoreTest::Reopen() {
  Close();
  Open();
}

void StoreTest::KillAndTryOpen(absl::Status& opened) {
  const std::string copy = absl::StrCat(root_, "/", ++directories_);
  const auto options = std::filesystem::copy_options::recursive;
  std::filesystem::create_directory(copy);
  // The index first: what it says of the segments must be in their copies. It may be writing and removing
  // files of its own meanwhile; then once more.
  const absl::Time limit = absl::Now() + absl::Minutes(1);
  const std::string index = options_.directory + "/index";
  std::map<std::string, uintmax_t> before;
  std::error_code error;
  do {
    NARU_CHECK(absl::Now() < limit);
    before = FilesIn(index);
    std::filesystem::remove_all(copy + "/index");
    error.clear();
    std::filesystem::copy(index, copy + "/index", options, error);
  } while (error || FilesIn(index) != before);
  std::filesystem::copy(options_.directory + "/segments", copy + "/segments", options);
  store_.reset();
  options_.directory = copy;
  opened = TryOpen();
}

void StoreTest::KillAndOpen() {
  absl::Status opened;
  KillAndTryOpen(opened);
  ASSERT_TRUE(opened.ok()) << opened;
}

absl::Status StoreTest::Create(std::vector<LogId> logs) {
  return Await<absl::Status>(
      [&](LogStore::Done done) { store_->CreateLogs(std::move(logs), std::move(done)); });
}

absl::Status StoreTest::Delete(std::vector<LogId> logs) {
  return Await<absl::Status>(
      [&](LogStore::Done done) { store_->DeleteLogs(std::move(logs), std::move(done)); });
}

absl::StatusOr<Appended> StoreTest::Append(LogId log, std::string value, size_t bytes) {
  return Await<absl::StatusOr<Appended>>([&](LogStore::AppendDone done) {
    store_->Append(AppendOf(log, MakeLargeBatch(std::move(value), bytes)), std::move(done));
  });
}

absl::Status StoreTest::MoveStart(LogId log, int64_t start) {
  return Await<absl::Status>(
      [&](LogStore::Done done) { store_->MoveLogStart(log, Offset(start), std::move(done)); });
}

absl::Status StoreTest::Truncate(LogId log, int64_t end) {
  return Await<absl::Status>(
      [&](LogStore::Done done) { store_->Truncate(log, Offset(end), std::move(done)); });
}

absl::StatusOr<ReadResult> StoreTest::Read(LogId log, int64_t from, int64_t bytes_max) {
  ReadRequest request;
  request.log = log;
  request.from = Offset(from);
  request.bytes_max = bytes_max;
  return Await<absl::StatusOr<ReadResult>>(
      [&](LogStore::ReadDone done) { store_->Read(request, std::move(done)); });
}

std::string StoreTest::Portrait() {
  std::string text;
  for (const LogId log : store_->Logs()) {
    const LogInfo info = Info(log);
    absl::StrAppend(&text, log.value(), ": [", info.log_start.value(), ",", info.end.value(), ") epoch ",
                    info.leader_epoch.value(), " bytes ", info.size_bytes, " at ", info.last_append_time_ms);
    for (Offset at = info.log_start; at < info.end;) {
      const auto read = Read(log, at.value());
      if (!read.ok() || read->batches.empty()) {
        absl::StrAppend(&text, " cannot read ", at.value(), ": ", read.status().ToString());
        break;
      }
      for (const SeenRecord& record : RecordsOf(read->batches, at)) {
        absl::StrAppend(&text, " ", record.value.substr(0, 12));
      }
      at = read->batches.back().next_offset;
    }
    const auto producers = store_->Producers(log);
    for (const ProducerState& producer : *producers) {
      absl::StrAppend(&text, " producer ", producer.producer_id, "/", producer.epoch, ":",
                      producer.next_sequence);
    }
    text += "\n";
  }
  return text;
}

std::vector<std::string> StoreTest::SegmentFiles() const {
  return *PosixFileSystem().List(options_.directory + "/segments");
}

void StoreTest::Flip(const std::string& path, uint64_t position) {
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  file.seekg(static_cast<std::streamoff>(position));
  const char byte = static_cast<char>(file.get() ^ 0x04);
  file.seekp(static_cast<std::streamoff>(position));
  file.put(byte);
  ASSERT_TRUE(file.good());
}

uint64_t StoreTest::Find(const std::string& path, const std::string& bytes) {
  std::ifstream file(path, std::ios::binary);
  const std::string all((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  const size_t at = all.find(bytes);
  NARU_CHECK(at != std::string::npos);
  return at;
}

}  // namespace naru::testing
