#include "tests/sim/network.h"

#include <algorithm>

namespace naru::sim {

void Host::After(int64_t delay_us, std::function<void()> happen) {
  loop_.After(delay_us, [this, life = life_, happen = std::move(happen)]() mutable {
    Deliver(life, std::move(happen));
  });
}

void Host::Deliver(uint64_t life, std::function<void()> happen) {
  if (!up_ || life != life_) return;
  if (frozen_) {
    missed_.push_back(std::move(happen));
  } else {
    happen();
  }
}

void Host::Kill() {
  up_ = false;
  frozen_ = false;
  ++life_;
  missed_.clear();
}

void Host::Boot() {
  up_ = true;
  ++life_;
}

void Host::Thaw() {
  frozen_ = false;
  for (auto& happen : std::exchange(missed_, {})) After(0, std::move(happen));
}

HostId Network::Add(std::string name) {
  hosts_.push_back(std::make_unique<Host>(loop_, std::move(name)));
  return hosts_.size() - 1;
}

void Network::Send(HostId from, HostId to, std::function<void()> arrive) {
  if (random_.Chance(weather_.doubling)) SendOnce(from, to, arrive);
  SendOnce(from, to, std::move(arrive));
}

void Network::SendOnce(HostId from, HostId to, std::function<void()> arrive) {
  if (IsCut(from, to) || !hosts_[to]->up() || random_.Chance(weather_.loss)) return;
  const int64_t most = random_.Chance(weather_.late) ? weather_.late_us_max : weather_.delay_us_max;
  const int64_t delay = random_.Between(20, std::max<int64_t>(most, 20));
  loop_.After(delay, [host = hosts_[to].get(), life = hosts_[to]->life(), arrive = std::move(arrive)] {
    host->Deliver(life, arrive);
  });
}

}  // namespace naru::sim
