// What can only be arranged below Producer: records that reach the sender late.
#include "clients/cpp/produce_sender.h"

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <thread>
#include <vector>

#include "absl/synchronization/notification.h"
#include "clients/cpp/outgoing_record.h"
#include "clients/cpp/producer.h"
#include "tests/clients/fake_hub.h"
#include "tests/clients/patience.h"

namespace naru::client {
namespace {

using testing::FakeHub;

class ProduceSenderTest : public ::testing::Test {
 protected:
  ProduceSenderTest() {
    hub_.AddTopic("t", 1);
    client_ = *Client::Create({.servers = {hub_.address()}});
    options_.linger = kLong;
  }
  void Make() {
    sender_ = std::make_unique<ProduceSender>(client_, options_,
                                              [this](const PartitionQueue&, PartitionQueue::Batch batch) {
                                                absl::MutexLock lock(&mutex_);
                                                finished_.push_back(std::move(batch));
                                              });
    sender_->AddTopic(**client_->Topic("t"));
  }
  void Append(int64_t generation) {
    std::string raw;
    EncodeRecord({.value = "v"}, raw);
    sender_->Append("t", PartitionId(0), raw, {}, static_cast<int64_t>(raw.size()), generation);
  }
  // The outcome of the only batch that finished.
  absl::Status WaitForOutcome() {
    absl::MutexLock lock(&mutex_);
    const auto any = [this] {
      mutex_.AssertHeld();
      return !finished_.empty();
    };
    if (!mutex_.AwaitWithTimeout(absl::Condition(&any), kLong)) return absl::DeadlineExceededError("nothing");
    EXPECT_EQ(finished_.size(), 1u);
    EXPECT_EQ(finished_.front()->records.size(), 1u);
    return finished_.front()->status;
  }

  FakeHub hub_;
  ProducerOptions options_;
  std::shared_ptr<Client> client_;
  absl::Mutex mutex_;
  std::vector<PartitionQueue::Batch> finished_;
  std::unique_ptr<ProduceSender> sender_;  // the last to come: it calls back until it is gone
};

TEST_F(ProduceSenderTest, ARecordThatComesAfterTheStopFailsInsteadOfBeingForgotten) {
  Make();
  sender_->Stop();
  Append(0);
  EXPECT_TRUE(absl::IsCancelled(WaitForOutcome()));
}

TEST_F(ProduceSenderTest, ARecordOfAFlushThatComesAfterItBeganDoesNotWaitForLinger) {
  options_.delivery_timeout = kLong * 2;
  Make();
  sender_->SealAll(0);
  const absl::Time began = absl::Now();
  Append(0);
  EXPECT_TRUE(WaitForOutcome().ok());
  EXPECT_LT(absl::Now() - began, kLong / 2);
}

TEST(ProducerAndThreads, CloseWhileOthersSendEndsAndCallsBackOnceForEveryRecordThatWasAccepted) {
  FakeHub hub;
  hub.AddTopic("t", 1);
  auto client = *Client::Create({.servers = {hub.address()}});
  for (int round = 0; round < 20; ++round) {
    auto producer = *Producer::Create(client, {});
    std::atomic<int64_t> accepted = 0, called_back = 0;
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; ++i) {
      threads.emplace_back([&] {
        absl::Status sent;
        while (sent.ok()) {
          sent = producer->Send("t", {.value = "v"}, [&](const Delivery&) { ++called_back; });
          accepted += sent.ok() ? 1 : 0;
        }
        EXPECT_TRUE(absl::IsFailedPrecondition(sent)) << sent;
      });
    }
    while (accepted < 500) std::this_thread::yield();
    absl::Notification closed;
    std::thread closer([&] {
      (void)producer->Close(absl::ZeroDuration());
      closed.Notify();
    });
    ASSERT_TRUE(closed.WaitForNotificationWithTimeout(kLong)) << accepted << " accepted, " << called_back;
    closer.join();
    for (std::thread& thread : threads) thread.join();
    ASSERT_EQ(accepted, called_back);
  }
}

}  // namespace
}  // namespace naru::client
