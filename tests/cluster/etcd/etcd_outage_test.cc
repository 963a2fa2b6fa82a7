// The store while etcd is away, and after it.
#include "cluster/etcd/etcd_cluster_store.h"
#include "tests/cluster/etcd/etcd_fixture.h"

namespace naru::testing {
namespace {

using cluster::WriteOutcome;

// An etcd of its own, and one that was elected in it.
class EtcdOutageTest : public ::testing::Test {
 protected:
  void SetUp() override {
    const absl::Status started = etcd_.Start();
    ASSERT_TRUE(started.ok()) << started.message();
    options_.endpoints = {etcd_.endpoint()};
  }
  void Elect() {
    candidate_ = std::make_unique<Candidate>(options_);
    candidate_->Stand("a:1");
    term_ = candidate_->AwaitElected();
    ASSERT_GT(term_, 0);
    ASSERT_EQ(candidate_->Write({.term = term_, .head = 0, .cluster_id = std::string(32, 'a')}),
              WriteOutcome::kWritten);
  }
  // With etcd just gone: it is deposed within its lease, and what it asks is answered.
  void ExpectOutage() {
    const absl::Time gone = absl::Now();
    EXPECT_EQ(candidate_->Write({.term = term_, .head = 1}), WriteOutcome::kUnknown);
    const absl::Status read = candidate_->Read().status();
    EXPECT_EQ(read.code(), absl::StatusCode::kUnavailable) << read;
    EXPECT_TRUE(candidate_->AwaitDeposed(term_));
    // The lease, and time for a busy machine.
    EXPECT_LT(absl::Now() - gone, absl::Seconds(options_.lease_ttl_s) + absl::Seconds(1));
    EXPECT_EQ(candidate_->store().ElectedAddress(), "");
    EXPECT_FALSE(candidate_->store().Stats().reachable);
    EXPECT_EQ(candidate_->events().Count("etcd_unreachable"), 1) << "for all of the outage";
    EXPECT_EQ(candidate_->events().Count("etcd_reachable"), 0);
  }
  void ExpectRecovery() {
    const int64_t next = candidate_->AwaitElected(term_);
    ASSERT_GT(next, term_);
    EXPECT_GE(candidate_->events().Count("etcd_reachable"), 1);
    EXPECT_TRUE(candidate_->store().Stats().reachable);
    EXPECT_GT(candidate_->store().Stats().requests_failed, 0);
    const auto stored = candidate_->Read();
    ASSERT_TRUE(stored.ok()) << stored.status();
    EXPECT_EQ(stored->cluster_id, std::string(32, 'a'));
    // What was unknown may have been written or not, and is settled now.
    const WriteOutcome outcome = candidate_->Write({.term = next, .head = 1});
    EXPECT_EQ(outcome, stored->head == 1 ? WriteOutcome::kWritten : WriteOutcome::kOvertaken);
  }

  EtcdProcess etcd_;
  cluster::EtcdOptions options_;
  std::unique_ptr<Candidate> candidate_;
  int64_t term_ = 0;
};

TEST_F(EtcdOutageTest, WhenEtcdIsKilledItIsDeposedAndWhenItIsBackElectedAgain) {
  Elect();
  etcd_.Kill();
  ExpectOutage();
  const absl::Status started = etcd_.Start();
  ASSERT_TRUE(started.ok()) << started.message();
  ExpectRecovery();
}

TEST_F(EtcdOutageTest, WhenEtcdHangsItIsDeposedAndWhenItGoesOnElectedAgain) {
  Elect();
  etcd_.Pause();
  ExpectOutage();
  etcd_.Resume();
  ExpectRecovery();
}

TEST_F(EtcdOutageTest, AnEmptyWriteSettlesOneThatWasNotAnswered) {
  options_.lease_ttl_s = 60;  // the term goes on
  Elect();
  etcd_.Pause();
  cluster::MetadataWrite write{.term = term_, .head = 1};
  write.brokers[BrokerId(1)] = SampleBroker(2);
  EXPECT_EQ(candidate_->Write(write), WriteOutcome::kUnknown);
  etcd_.Resume();
  WriteOutcome probe = WriteOutcome::kUnknown;
  const absl::Time until = absl::Now() + kPatience;
  while (probe == WriteOutcome::kUnknown && absl::Now() < until) {
    probe = candidate_->Write({.term = term_, .head = 1});
  }
  const auto stored = candidate_->Read();
  ASSERT_TRUE(stored.ok()) << stored.status();
  EXPECT_EQ(stored->head, 2);
  EXPECT_EQ(stored->brokers.size(), probe == WriteOutcome::kOvertaken ? 1U : 0U);
  EXPECT_NE(probe, WriteOutcome::kDeposed);
}

TEST_F(EtcdOutageTest, AMemberThatDoesNotAnswerIsLeftForTheNext) {
  EtcdProcess other;  // of no cluster with the first: it just does not answer
  const absl::Status started = other.Start();
  ASSERT_TRUE(started.ok()) << started.message();
  other.Pause();
  options_.endpoints = {absl::StrCat("127.0.0.1:", FreePort()), other.endpoint(), etcd_.endpoint()};
  Elect();
  EXPECT_EQ(candidate_->store().Stats().writes_written, 1);
}

TEST_F(EtcdOutageTest, StoppingTakesAtMostASecondWhileEtcdHangsAndAnswersWhatIsUnderWay) {
  options_.request_timeout_ms = 60'000;
  Elect();
  etcd_.Pause();
  WriteOutcome written = WriteOutcome::kWritten;
  absl::Status read;
  candidate_->store().Write({.term = term_, .head = 1}, {}, [&](WriteOutcome outcome) { written = outcome; });
  candidate_->store().Read([&](absl::StatusOr<cluster::ClusterMetadata> result) { read = result.status(); });
  const absl::Time asked = absl::Now();
  candidate_->store().Stop();
  EXPECT_LE(absl::Now() - asked, absl::Seconds(1));
  EXPECT_EQ(written, WriteOutcome::kUnknown);
  EXPECT_EQ(read.code(), absl::StatusCode::kUnavailable) << read;
  candidate_->store().Stop();
}

TEST_F(EtcdOutageTest, FailuresAreAnsweredNoFasterThanTheyArePolledFor) {
  options_.poll_interval_ms = 300;
  options_.endpoints = {absl::StrCat("127.0.0.1:", FreePort())};
  Candidate candidate(options_);
  const absl::Time asked = absl::Now();
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(candidate.Write({.term = 1}), WriteOutcome::kUnknown);
  }
  EXPECT_GE(absl::Now() - asked, 3 * absl::Milliseconds(299));
}

}  // namespace
}  // namespace naru::testing
