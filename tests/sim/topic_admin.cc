#include "tests/sim/topic_admin.h"

#include <utility>

#include "tests/sim/partition_name.h"

namespace naru::sim {

using namespace cluster;  // NOLINT(google-build-using-namespace): all of it is about these

void TopicAdmin::Run() {
  at_.network.host(host_).After(at_.random.Between(kSecond, 3 * kSecond), [this] { Change(); });
}

TopicRequest TopicAdmin::Wish() {
  TopicRequest wish;
  const std::string name = at_.random.Chance(0.5) ? "brief" : "short";
  if (at_.random.Chance(0.4)) {
    naru::v1::DeleteTopicRequest remove;
    remove.set_name(name);
    wish.change = std::move(remove);
    return wish;
  }
  naru::v1::CreateTopicRequest create;
  create.set_name(name);
  create.set_partition_count(static_cast<int32_t>(at_.random.Between(1, 2)));
  create.set_replication_factor(at_.random.Chance(0.8) ? 3 : 2);
  create.mutable_config()->set_min_in_sync_replicas(at_.random.Chance(0.9) ? 2 : 1);
  wish.change = std::move(create);
  // Of the topics that are there from the beginning the first byte is another one.
  const TopicId id = MakeTopicId(1'000 + ++last_topic_);
  wish.new_topic_id.assign(id.begin(), id.end());
  wish.now_ms = at_.loop.NowMs();
  return wish;
}

void TopicAdmin::Change() {
  if (stopped_) return;
  at_.network.host(host_).After(at_.random.Between(300 * kMs, 3 * kSecond), [this] { Change(); });
  Coordinator& coordinator = *at_.coordinators[at_.random.Index(at_.coordinators.size())];
  Ask(coordinator, Wish());
}

void TopicAdmin::Delete(const std::string& topic) {
  naru::v1::DeleteTopicRequest remove;
  remove.set_name(topic);
  TopicRequest wish;
  wish.change = std::move(remove);
  for (Coordinator* coordinator : at_.coordinators) Ask(*coordinator, wish);
}

void TopicAdmin::Ask(Coordinator& coordinator, const TopicRequest& wish) {
  const bool makes = std::holds_alternative<naru::v1::CreateTopicRequest>(wish.change);
  const auto answer = [this, makes, from = coordinator.host()](const AnswerTopicRequest& said) {
    at_.network.Send(from, host_,
                     [this, makes, said] { at_.answered(makes ? "make a topic" : "delete a topic", said); });
  };
  // A request that comes twice would be two.
  at_.network.SendOnce(host_, coordinator.host(),
                       [&coordinator, wish, answer] { coordinator.OnTopicRequest(wish, answer); });
}

}  // namespace naru::sim
