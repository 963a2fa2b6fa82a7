// DeleteRecords of a topic that goes away.
#include "services/admin/record_deletion.h"

#include "gtest/gtest.h"
#include "storage/base/clock.h"
#include "storage/log/memory_log_store.h"
#include "tests/services/fixed_catalog.h"

namespace naru::services {
namespace {

TEST(RecordDeletionTest, ATopicDeletedMeanwhileIsNamedInTheErrors) {
  ManualClock clock;
  MemoryLogStore store(clock);
  FixedCatalog catalog(store);
  catalog.SetTopic("orders", 2);
  const auto topic = catalog.Topic("orders");
  naru::v1::DeleteRecordsRequest request;
  request.set_topic("orders");
  request.add_partitions()->set_partition(0);
  request.add_partitions()->set_partition(7);
  catalog.Delete("orders");
  naru::v1::DeleteRecordsResponse response;
  bool done = false;
  DeleteRecords(topic, request, store, catalog, response, [&] { done = true; });
  EXPECT_TRUE(done);
  ASSERT_EQ(response.results_size(), 2);
  EXPECT_EQ(response.results(0).error().reason(), "TOPIC_NOT_FOUND");
  EXPECT_EQ(response.results(0).error().metadata().at("topic"), "orders");
  EXPECT_EQ(response.results(1).error().reason(), "PARTITION_NOT_FOUND");
  store.Stop();
}

}  // namespace
}  // namespace naru::services
