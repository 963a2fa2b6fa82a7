// The contract of stores, held by the one on disk: as it comes, and with segments and a cache so small that
// every history rolls segments, gives space back and reads cold.
#include <cstdlib>

#include "storage/base/check.h"
#include "storage/store/partition_store.h"
#include "tests/storage/log/contract/gated_files.h"
#include "tests/storage/log/contract/store_contract.h"

namespace naru::testing {
namespace {

class PartitionStoreUnderTest final : public StoreUnderTest {
 public:
  explicit PartitionStoreUnderTest(StoreOptions options) : options_(std::move(options)) {
    // What a disk adds is not the subject here; hundreds of stores are made, so memory it is where there is
    // any.
    const bool in_memory = PosixFileSystem().Exists("/dev/shm");
    directory_ = in_memory ? "/dev/shm/naru-contract-XXXXXX" : "/tmp/naru-contract-XXXXXX";
    NARU_CHECK(::mkdtemp(directory_.data()) != nullptr);
    options_.directory = directory_ + "/store";
    // Maintenance runs when a test says so.
    options_.maintenance_interval_ms = 3'600'000;
    options_.disk_reserve_bytes = 0;
    Open();
  }
  ~PartitionStoreUnderTest() override {
    store_.reset();
    (void)PosixFileSystem().RemoveTree(directory_);
  }

  LogStore& store() override { return *store_; }
  ManualClock& clock() override { return clock_; }
  void Reopen() override {
    store_->Stop();
    store_.reset();
    Open();
  }
  void RunMaintenance() override { NARU_CHECK_OK(store_->RunMaintenance()); }
  void HoldDurability(bool hold) override { files_.gate().Hold(hold); }

 private:
  void Open() {
    absl::StatusOr<std::unique_ptr<PartitionStore>> store =
        PartitionStore::Open(options_, files_, clock_, events_);
    NARU_CHECK_OK(store.status());
    store_ = *std::move(store);
  }

  std::string directory_;
  StoreOptions options_;
  ManualClock clock_;
  NullEventLog events_;
  GatedFiles files_{PosixFileSystem()};
  std::unique_ptr<PartitionStore> store_;
};

std::unique_ptr<StoreUnderTest> AsItComes() {
  StoreOptions options;
  options.segment_bytes = int64_t{16} << 20;  // smaller than the default: every test preallocates one
  return std::make_unique<PartitionStoreUnderTest>(options);
}

std::unique_ptr<StoreUnderTest> NoInlineSyncs() {
  StoreOptions options;
  options.segment_bytes = int64_t{16} << 20;
  options.inline_sync_bytes_max = 0;
  return std::make_unique<PartitionStoreUnderTest>(options);
}

std::unique_ptr<StoreUnderTest> Small() {
  StoreOptions options;
  options.segment_bytes = int64_t{1} << 20;
  options.inline_sync_bytes_max = 0;
  options.tail_cache_bytes = 0;
  options.checkpoint_bytes = int64_t{1} << 20;
  options.reader_threads = 1;
  return std::make_unique<PartitionStoreUnderTest>(options);
}

const char* Name(const ::testing::TestParamInfo<StoreFactory>&) { return "OnDisk"; }

INSTANTIATE_TEST_SUITE_P(AsItComes, StoreContract, ::testing::Values(StoreFactory(AsItComes)), Name);
INSTANTIATE_TEST_SUITE_P(NoInlineSyncs, StoreContract, ::testing::Values(StoreFactory(NoInlineSyncs)), Name);
INSTANTIATE_TEST_SUITE_P(NoInlineSyncs, HeldSyncsContract, ::testing::Values(StoreFactory(NoInlineSyncs)),
                         Name);
INSTANTIATE_TEST_SUITE_P(Small, StoreContract, ::testing::Values(StoreFactory(Small)), Name);
INSTANTIATE_TEST_SUITE_P(Small, HeldSyncsContract, ::testing::Values(StoreFactory(Small)), Name);

}  // namespace
}  // namespace naru::testing
