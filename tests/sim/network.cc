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

bool Network::Loses(HostId from, HostId to) {
  return IsCut(from, to) || !hosts_[to]->up() || random_.Chance(weather_.loss);
}

int64_t Network::Delay(HostId from, HostId to) {
  const auto slow = slow_.find({from, to});
  if (slow != slow_.end() && loop_.now_us() < slow->second.until_us) {
    return random_.Between(20, slow->second.late_us_max);
  }
  const int64_t most = random_.Chance(weather_.late) ? weather_.late_us_max : weather_.delay_us_max;
  return random_.Between(20, std::max<int64_t>(most, 20));
}

void Network::SendOnce(HostId from, HostId to, std::function<void()> arrive) {
  if (Loses(from, to)) return;
  SendLate(to, Delay(from, to), std::move(arrive));
}

void Network::SendLate(HostId to, int64_t delay_us, std::function<void()> arrive) {
  loop_.After(delay_us, [host = hosts_[to].get(), life = hosts_[to]->life(), arrive = std::move(arrive)] {
    host->Deliver(life, arrive);
  });
}

void Network::SendOn(const std::shared_ptr<Connection>& connection, HostId from, HostId to,
                     std::function<void()> arrive) {
  const uint64_t number = ++connection->sent;
  const uint64_t life = hosts_[to]->life();
  if (!connection->life) connection->life = life;
  if (Loses(from, to) || connection->life != life) return;  // it is missed by all that follow
  connection->last_us = std::max(connection->last_us, loop_.now_us() + Delay(from, to));
  const auto in_order = [connection, number, arrive = std::move(arrive)] {
    if (connection->arrived + 1 != number) return;
    ++connection->arrived;
    arrive();
  };
  loop_.After(connection->last_us - loop_.now_us(),
              [host = hosts_[to].get(), life, in_order] { host->Deliver(life, in_order); });
}

}  // namespace naru::sim
