#include "cluster/etcd/etcd_election.h"

#include "tests/cluster/etcd/etcd_fixture.h"

namespace naru::testing {
namespace {

using cluster::WriteOutcome;

class EtcdElectionTest : public EtcdTest {};

TEST_F(EtcdElectionTest, OneOfTwoIsElectedAndBothKnowItsAddress) {
  Candidate a(options_);
  Candidate b(options_);
  EXPECT_EQ(a.store().ElectedAddress(), "");
  a.Stand("a:1");
  EXPECT_GT(a.AwaitElected(), 0);
  b.Stand("b:1");
  EXPECT_TRUE(b.AwaitElectedAddress("a:1"));
  EXPECT_TRUE(a.AwaitElectedAddress("a:1"));
  EXPECT_EQ(b.term(), 0);
  EXPECT_EQ(a.store().Stats().elections_won, 1);
}

TEST_F(EtcdElectionTest, OfManyThatStandAtOnceOneIsElected) {
  std::vector<std::unique_ptr<Candidate>> all;
  for (int i = 0; i < 5; ++i) all.push_back(std::make_unique<Candidate>(options_));
  for (size_t i = 0; i < all.size(); ++i) all[i]->Stand(absl::StrCat("host", i, ":1"));
  const auto seen = [&] {
    std::set<std::string> addresses;
    for (auto& candidate : all) addresses.insert(candidate->store().ElectedAddress());
    return addresses;
  };
  EXPECT_TRUE(WaitFor([&] { return seen().size() == 1 && !seen().contains(""); }));
  int elected = 0;
  for (auto& candidate : all) elected += candidate->term() > 0 ? 1 : 0;
  EXPECT_EQ(elected, 1);
}

TEST_F(EtcdElectionTest, WhenTheElectedOneStopsAnotherIsElectedWithoutWaitingForTheLease) {
  options_.lease_ttl_s = 60;  // longer than the test waits
  Candidate a(options_);
  a.Stand("a:1");
  const int64_t first = a.AwaitElected();
  ASSERT_GT(first, 0);
  Candidate b(options_);
  b.Stand("b:1");
  ASSERT_TRUE(b.AwaitElectedAddress("a:1"));
  a.store().Stop();
  EXPECT_GT(b.AwaitElected(), first);
  EXPECT_TRUE(b.AwaitElectedAddress("b:1"));
  EXPECT_EQ(a.store().ElectedAddress(), "");
}

TEST_F(EtcdElectionTest, WhenTheElectedOneDiedAnotherIsElectedWhenItsLeaseIsOver) {
  // What one leaves that was killed: a key on a lease that nobody keeps alive.
  etcd_->Put(Key("/election"), "dead:1", etcd_->Grant(2));
  Candidate b(options_);
  b.Stand("b:1");
  EXPECT_TRUE(b.AwaitElectedAddress("dead:1"));
  EXPECT_GT(b.AwaitElected(), 0);
}

TEST_F(EtcdElectionTest, AnElectedOneStaysElectedLongerThanItsLease) {
  Candidate a(options_);
  a.Stand("a:1");
  const int64_t term = a.AwaitElected();
  // Another lease of the same time, begun later, ends meanwhile.
  etcd_->Put(Key("/elsewhere"), "x", etcd_->Grant(2));
  ASSERT_TRUE(WaitFor([&] { return etcd_->Get(Key("/elsewhere")).value().empty(); }));
  EXPECT_EQ(a.term(), term);
  EXPECT_EQ(etcd_->Get(Key("/election")).create_revision(), term);
  EXPECT_EQ(a.store().Stats().elections_lost, 0);
}

TEST_F(EtcdElectionTest, WhoLosesItsLeaseIsDeposedAndStandsAgainWithAnotherOne) {
  Candidate a(options_);
  a.Stand("a:1");
  const int64_t first = a.AwaitElected();
  const int64_t lease = etcd_->Get(Key("/election")).lease();
  etcd_->Revoke(lease);
  EXPECT_TRUE(a.AwaitDeposed(first));
  EXPECT_GT(a.AwaitElected(first), first);
  EXPECT_NE(etcd_->Get(Key("/election")).lease(), lease);
  EXPECT_EQ(a.events().Count("elected"), 2);
  EXPECT_EQ(a.events().Count("deposed"), 1);
  EXPECT_EQ(a.store().Stats().elections_lost, 1);
}

TEST_F(EtcdElectionTest, WhoseKeySomebodyDeletedIsDeposedThoughItsLeaseLasts) {
  options_.lease_ttl_s = 60;
  Candidate a(options_);
  a.Stand("a:1");
  const int64_t first = a.AwaitElected();
  etcd_->Delete(Key("/election"));
  EXPECT_TRUE(a.AwaitDeposed(first));
  EXPECT_GT(a.AwaitElected(first), first);
}

TEST_F(EtcdElectionTest, WhoseKeyIsAnothersIsDeposedThoughItsLeaseLasts) {
  options_.lease_ttl_s = 60;
  Candidate a(options_);
  a.Stand("a:1");
  const int64_t first = a.AwaitElected();
  etcd_->Delete(Key("/election"));
  etcd_->Put(Key("/election"), "b:1");
  EXPECT_TRUE(a.AwaitDeposed(first));
  EXPECT_TRUE(a.AwaitElectedAddress("b:1"));
}

TEST_F(EtcdElectionTest, AWriteOfADeposedOneIsRefusedAndChangesNothing) {
  Candidate a(options_);
  a.Stand("a:1");
  const int64_t first = a.AwaitElected();
  ASSERT_EQ(a.Write({.term = first, .head = 0, .cluster_id = std::string(32, 'a')}), WriteOutcome::kWritten);
  Candidate b(options_);
  b.Stand("b:1");
  ASSERT_TRUE(b.AwaitElectedAddress("a:1"));
  a.store().Stop();
  const int64_t second = b.AwaitElected();
  ASSERT_GT(second, first);
  // Another process that still thinks it is the first.
  Candidate late(options_);
  EXPECT_EQ(late.Write({.term = first, .head = 1, .cluster_id = std::string(32, 'b')}),
            WriteOutcome::kDeposed);
  const auto stored = late.Read();
  ASSERT_TRUE(stored.ok()) << stored.status();
  EXPECT_EQ(stored->head, 1);
  EXPECT_EQ(stored->cluster_id, std::string(32, 'a'));
  EXPECT_EQ(b.Write({.term = second, .head = 1}), WriteOutcome::kWritten);
}

TEST_F(EtcdElectionTest, AWriteThatFindsAnotherTermDeposesAtOnce) {
  options_.lease_ttl_s = 60;
  options_.poll_interval_ms = 10'000;  // so that nothing else finds out
  Candidate a(options_);
  a.Stand("a:1");
  const int64_t first = a.AwaitElected();
  etcd_->Delete(Key("/election"));
  EXPECT_EQ(a.Write({.term = first}), WriteOutcome::kDeposed);
  EXPECT_TRUE(a.WasDeposed(first)) << "before the write was answered";
}

TEST_F(EtcdElectionTest, TwoClustersShareOneEtcd) {
  Candidate a(options_);
  options_.prefix += "2";
  Candidate b(options_);
  a.Stand("a:1");
  b.Stand("b:1");
  const int64_t term = a.AwaitElected();
  EXPECT_GT(term, 0);
  EXPECT_GT(b.AwaitElected(), 0);
  ASSERT_EQ(a.Write({.term = term, .cluster_id = std::string(32, 'a')}), WriteOutcome::kWritten);
  const auto stored = b.Read();
  ASSERT_TRUE(stored.ok()) << stored.status();
  EXPECT_EQ(stored->head, 0);
}

}  // namespace
}  // namespace naru::testing
