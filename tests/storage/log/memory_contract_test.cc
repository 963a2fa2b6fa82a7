// The contract of stores, held by the one in memory.
#include "storage/log/memory_log_store.h"
#include "tests/storage/log/contract/store_contract.h"

namespace naru::testing {
namespace {

class MemoryStoreUnderTest final : public StoreUnderTest {
 public:
  LogStore& store() override { return store_; }
  ManualClock& clock() override { return clock_; }
  void Reopen() override {
    store_.Stop();
    store_.Restart();
  }
  void RunMaintenance() override { store_.RunMaintenance(); }
  void HoldDurability(bool hold) override { store_.HoldDurability(hold); }

 private:
  ManualClock clock_;
  MemoryLogStore store_{clock_};
};

std::unique_ptr<StoreUnderTest> InMemory() { return std::make_unique<MemoryStoreUnderTest>(); }
const char* Name(const ::testing::TestParamInfo<StoreFactory>&) { return "Store"; }

INSTANTIATE_TEST_SUITE_P(Memory, StoreContract, ::testing::Values(StoreFactory(InMemory)), Name);
INSTANTIATE_TEST_SUITE_P(Memory, HeldSyncsContract, ::testing::Values(StoreFactory(InMemory)), Name);

}  // namespace
}  // namespace naru::testing
