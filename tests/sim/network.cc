#include "tests/sim/network.h"

#include <algorithm>
#include <cstdio>

namespace naru::sim {

void Loop::Note(std::string_view what) {
  const auto mix = [this](unsigned char byte) { trace_ = (trace_ ^ byte) * 1'099'511'628'211U; };
  for (int shift = 0; shift < 64; shift += 8) mix(static_cast<unsigned char>(now_us_ >> shift));
  for (const char c : what) mix(static_cast<unsigned char>(c));
  if (verbose_) {
    std::printf("%9.3f  %.*s\n", static_cast<double>(now_us_) / 1e6, static_cast<int>(what.size()),
                what.data());
  }
}

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
