#include "cluster/group/assignor.h"

#include <iterator>
#include <utility>

namespace naru::cluster {
namespace {

// Topics that the same members want. Nearly all groups have one class.
struct TopicClass {
  std::vector<size_t> members;
  // (partitions assigned, member), the least loaded first.
  std::set<std::pair<size_t, size_t>> by_load;
};

class Balancer {
 public:
  Balancer(const std::map<std::string, AssignorMember>& members, const std::map<TopicId, int32_t>& counts) {
    for (const auto& [id, member] : members) {
      ids_.push_back(&id);
      members_.push_back(&member);
    }
    assigned_.resize(members_.size());
    classes_of_member_.resize(members_.size());
    MakeClasses(counts);
    Keep(counts);
    PlaceTheRest(counts);
    Balance();
  }

  Assignment Take() {
    Assignment assignment;
    for (size_t member = 0; member < members_.size(); ++member) {
      std::set<GroupPartition>& partitions = assignment[*ids_[member]];
      for (auto& [topic_class, of_class] : assigned_[member]) partitions.merge(of_class);
    }
    return assignment;
  }

 private:
  void MakeClasses(const std::map<TopicId, int32_t>& counts) {
    std::map<TopicId, std::vector<size_t>> wanted_by;
    for (size_t member = 0; member < members_.size(); ++member) {
      for (const TopicId& topic : members_[member]->topics) {
        if (counts.contains(topic)) wanted_by[topic].push_back(member);
      }
    }
    std::map<std::vector<size_t>, size_t> class_of_members;
    for (auto& [topic, members] : wanted_by) {
      const auto [it, made] = class_of_members.try_emplace(members, classes_.size());
      if (made) {
        for (size_t member : members) classes_of_member_[member].push_back(classes_.size());
        classes_.push_back({.members = members, .by_load = {}});
      }
      class_of_topic_[topic] = it->second;
    }
    loads_.assign(members_.size(), 0);
    for (TopicClass& topic_class : classes_) {
      for (size_t member : topic_class.members) topic_class.by_load.emplace(0, member);
    }
  }

  void SetLoad(size_t member, size_t load) {
    for (size_t topic_class : classes_of_member_[member]) {
      std::set<std::pair<size_t, size_t>>& by_load = classes_[topic_class].by_load;
      auto node = by_load.extract({loads_[member], member});
      node.value().first = load;
      by_load.insert(std::move(node));
    }
    loads_[member] = load;
  }

  void Give(size_t member, size_t topic_class, const GroupPartition& partition) {
    assigned_[member][topic_class].insert(partition);
    SetLoad(member, loads_[member] + 1);
  }

  void Keep(const std::map<TopicId, int32_t>& counts) {
    for (size_t member = 0; member < members_.size(); ++member) {
      for (const GroupPartition& partition : members_[member]->owned) {
        const auto topic_class = class_of_topic_.find(partition.topic);
        if (topic_class == class_of_topic_.end() || !members_[member]->topics.contains(partition.topic))
          continue;
        if (partition.partition < 0 || partition.partition >= counts.at(partition.topic)) continue;
        if (kept_.insert(partition).second) Give(member, topic_class->second, partition);
      }
    }
  }

  void PlaceTheRest(const std::map<TopicId, int32_t>& counts) {
    for (const auto& [topic, topic_class] : class_of_topic_) {
      for (int32_t i = 0; i < counts.at(topic); ++i) {
        const GroupPartition partition{topic, i};
        if (!kept_.contains(partition))
          Give(classes_[topic_class].by_load.begin()->second, topic_class, partition);
      }
    }
  }

  // Each step lowers the sum of the squared loads, so it ends.
  void Balance() {
    for (bool moved = true; moved;) {
      moved = false;
      for (size_t topic_class = 0; topic_class < classes_.size(); ++topic_class) {
        while (MoveOne(topic_class)) moved = true;
      }
    }
  }

  bool MoveOne(size_t topic_class) {
    const std::set<std::pair<size_t, size_t>>& by_load = classes_[topic_class].by_load;
    const auto [least, to] = *by_load.begin();
    // The most loaded may have nothing of this class to give.
    for (auto it = by_load.rbegin(); it != by_load.rend() && it->first >= least + 2; ++it) {
      const size_t from = it->second;
      const auto of_class = assigned_[from].find(topic_class);
      if (of_class == assigned_[from].end() || of_class->second.empty()) continue;
      const GroupPartition partition = ToGiveUp(from, of_class->second);
      of_class->second.erase(partition);
      SetLoad(from, loads_[from] - 1);
      Give(to, topic_class, partition);
      return true;
    }
    return false;
  }

  // One that is not read yet, if there is one.
  GroupPartition ToGiveUp(size_t member, const std::set<GroupPartition>& partitions) const {
    for (auto it = partitions.rbegin(); it != partitions.rend(); ++it) {
      if (!members_[member]->owned.contains(*it)) return *it;
    }
    return *partitions.rbegin();
  }

  std::vector<const std::string*> ids_;
  std::vector<const AssignorMember*> members_;
  std::vector<TopicClass> classes_;
  std::map<TopicId, size_t> class_of_topic_;
  std::vector<std::vector<size_t>> classes_of_member_;
  std::set<GroupPartition> kept_;
  std::vector<size_t> loads_;
  std::vector<std::map<size_t, std::set<GroupPartition>>> assigned_;  // by class
};

}  // namespace

Assignment Assign(const std::map<std::string, AssignorMember>& members,
                  const std::map<TopicId, int32_t>& partition_counts) {
  return Balancer(members, partition_counts).Take();
}

}  // namespace naru::cluster
