// Processes and what passes between them: killed, frozen, cut off, slow; messages that are lost, late,
// doubled and overtaken.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "tests/sim/loop.h"
#include "tests/sim/random.h"

namespace naru::sim {

using HostId = size_t;

// A machine that runs one process at a time.
class Host {
 public:
  Host(Loop& loop, std::string name) : loop_(loop), name_(std::move(name)) {}

  const std::string& name() const { return name_; }
  bool up() const { return up_; }
  bool frozen() const { return frozen_; }
  // Of the process: another one has another number.
  uint64_t life() const { return life_; }

  // In this process, if it still lives then; when it is frozen, once it is not any more.
  void After(int64_t delay_us, std::function<void()> happen);
  // A message to the process `life` comes in.
  void Deliver(uint64_t life, std::function<void()> happen);

  void Kill();
  void Boot();
  void Freeze() { frozen_ = true; }
  void Thaw();

 private:
  Loop& loop_;
  const std::string name_;
  bool up_ = true;
  bool frozen_ = false;
  uint64_t life_ = 1;
  std::deque<std::function<void()>> missed_;
};

struct Weather {
  double loss = 0;
  double doubling = 0;
  double late = 0;  // messages that take up to late_us_max
  int64_t late_us_max = kSecond;
  int64_t delay_us_max = kMs;  // of all others
};

// Messages of one connection arrive in the order in which they were sent, each once; after the first that is
// lost none arrives any more. It ends with the process that the first was sent to.
struct Connection {
  uint64_t sent = 0;
  uint64_t arrived = 0;
  int64_t last_us = 0;           // when the newest is to arrive
  std::optional<uint64_t> life;  // of that process
};

class Network {
 public:
  Network(Loop& loop, Random& random) : loop_(loop), random_(random) {}

  HostId Add(std::string name);
  Host& host(HostId id) { return *hosts_[id]; }
  size_t size() const { return hosts_.size(); }
  void set_weather(const Weather& weather) { weather_ = weather; }

  // For slow_us, messages take up to late_us_max this way.
  void Slow(HostId from, HostId to, int64_t late_us_max, int64_t slow_us) {
    slow_[{from, to}] = {late_us_max, loop_.now_us() + slow_us};
  }

  // One way; a way may be cut more than once, and is open when all of that is over. For Mend().
  using CutId = uint64_t;
  CutId Cut(HostId from, HostId to) {
    cuts_[{from, to}].insert(++last_cut_);
    return last_cut_;
  }
  // Does nothing after MendAll().
  void Mend(HostId from, HostId to, CutId cut) {
    const auto cuts = cuts_.find({from, to});
    if (cuts != cuts_.end() && cuts->second.erase(cut) > 0 && cuts->second.empty()) cuts_.erase(cuts);
  }
  void MendAll() {
    cuts_.clear();
    slow_.clear();
  }
  bool IsCut(HostId from, HostId to) const { return cuts_.contains({from, to}); }

  // `arrive` happens in the process that runs on `to` now, perhaps more than once, perhaps never.
  void Send(HostId from, HostId to, std::function<void()> arrive);
  // Once, to the process that runs there now, at a given time.
  void SendLate(HostId to, int64_t delay_us, std::function<void()> arrive);
  // At most once.
  void SendOnce(HostId from, HostId to, std::function<void()> arrive);
  void SendOn(const std::shared_ptr<Connection>& connection, HostId from, HostId to,
              std::function<void()> arrive);

 private:
  int64_t Delay(HostId from, HostId to);
  bool Loses(HostId from, HostId to);

  Loop& loop_;
  Random& random_;
  Weather weather_;
  std::vector<std::unique_ptr<Host>> hosts_;
  std::map<std::pair<HostId, HostId>, std::set<CutId>> cuts_;
  CutId last_cut_ = 0;
  struct SlowLink {
    int64_t late_us_max = 0;
    int64_t until_us = 0;
  };
  std::map<std::pair<HostId, HostId>, SlowLink> slow_;
};

}  // namespace naru::sim
