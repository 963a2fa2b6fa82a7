// Somebody who makes and deletes topics of a simulated cluster, the same names again and again.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "tests/sim/checker.h"
#include "tests/sim/coordinator.h"
#include "tests/sim/network.h"

namespace naru::sim {

class TopicAdmin {
 public:
  struct Surroundings {
    Loop& loop;
    Random& random;
    Network& network;
    std::vector<Coordinator*> coordinators;
    // How it went.
    std::function<void(const std::string& what, const cluster::AnswerTopicRequest& answer)> answered;
  };
  TopicAdmin(Surroundings surroundings, HostId host) : at_(std::move(surroundings)), host_(host) {}

  // Until Stop.
  void Run();
  void Stop() { stopped_ = true; }
  // Asks for it; not whether it was heard.
  void Delete(const std::string& topic);

 private:
  void Change();
  cluster::TopicRequest Wish();
  void Ask(Coordinator& coordinator, const cluster::TopicRequest& wish);

  Surroundings at_;
  const HostId host_;
  int64_t last_topic_ = 0;
  bool stopped_ = false;
};

}  // namespace naru::sim
