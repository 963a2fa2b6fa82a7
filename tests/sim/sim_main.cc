// naru-sim: simulated runs of a cluster, one for each seed. Exits 1 when an invariant was broken in one of
// them; a line for each of those says how to see that run again.
#include <CLI/CLI.hpp>
#include <cstdint>
#include <cstdio>
#include <map>
#include <string>
#include <vector>

#include "tests/sim/rules.h"
#include "tests/sim/world.h"

namespace naru::sim {
namespace {

struct Options {
  uint64_t first = 1;
  uint64_t seeds = 200;
  std::vector<std::string> without;
  bool table = false;
  bool twice = false;
  bool verbose = false;
};

struct Totals {
  FaultCounts faults;
  uint64_t steps = 0;
  int64_t acked = 0, refused = 0, unknown = 0, polled = 0, committed = 0;
  int64_t elapsed_us = 0;

  void Add(const World& world) {
    for (const auto& [fault, count] : world.faults()) faults[fault] += count;
    steps += world.steps();
    acked += world.checker().acked();
    refused += world.checker().refused();
    unknown += world.checker().unknown();
    polled += world.checker().polled();
    committed += world.group_history().commits();
    elapsed_us += world.elapsed_us();
  }
};

void Print(const Totals& totals, uint64_t seeds) {
  std::printf(
      "%llu seeds: %.0f s of simulated time, %llu steps; appends: %lld acknowledged, %lld refused, %lld "
      "unknown; %lld records read; %lld commits of group members\nfaults:",
      static_cast<unsigned long long>(seeds), static_cast<double>(totals.elapsed_us) / 1e6,
      static_cast<unsigned long long>(totals.steps), static_cast<long long>(totals.acked),
      static_cast<long long>(totals.refused), static_cast<long long>(totals.unknown),
      static_cast<long long>(totals.polled), static_cast<long long>(totals.committed));
  const char* separator = " ";
  for (const auto& [fault, count] : totals.faults) {
    std::printf("%s%s %lld", separator, fault.c_str(), static_cast<long long>(count));
    separator = ", ";
  }
  std::printf("\n");
}

int RunSeeds(const Options& options) {
  WorldOptions world_options;
  world_options.verbose = options.verbose;
  std::string without;
  for (const std::string& name : options.without) {
    for (const NamedRule& rule : NamedRules()) {
      if (rule.name == name) TakeAway(rule, world_options.rules);
    }
    without += " --without " + name;
  }
  Totals totals;
  uint64_t violations = 0;
  for (uint64_t seed = options.first; seed < options.first + options.seeds; ++seed) {
    World world(seed, world_options);
    std::string violation = world.Run();
    totals.Add(world);
    if (options.twice && violation.empty()) {
      World again(seed, world_options);
      again.Run();
      if (again.trace() != world.trace() || again.steps() != world.steps()) {
        violation = "a second run of it was another one";
      }
    }
    if (violation.empty()) continue;
    ++violations;
    std::printf("seed %llu: %s\n", static_cast<unsigned long long>(seed), violation.c_str());
    std::printf("again: ./dev sim --first %llu --seeds 1 --verbose%s\n",
                static_cast<unsigned long long>(seed), without.c_str());
    std::fflush(stdout);
  }
  Print(totals, options.seeds);
  return violations == 0 ? 0 : 1;
}

// Which seed notices that a rule is missing.
int RunTable(const Options& options) {
  int holes = 0;
  for (const NamedRule& rule : NamedRules()) {
    WorldOptions world_options;
    TakeAway(rule, world_options.rules);
    std::string found = "no seed";
    for (uint64_t seed = options.first; seed < options.first + options.seeds; ++seed) {
      World world(seed, world_options);
      const std::string violation = world.Run();
      if (violation.empty()) continue;
      found = "seed " + std::to_string(seed) + ": " + violation;
      break;
    }
    if (found == "no seed") ++holes;
    std::printf("rule %-3s %-40s %s\n", std::string(rule.number).c_str(), std::string(rule.name).c_str(),
                found.c_str());
    std::fflush(stdout);
  }
  return holes == 0 ? 0 : 1;
}

int Main(int argc, char** argv) {
  Options options;
  CLI::App app("Simulated runs of a cluster under faults, one for each seed.", "naru-sim");
  app.add_option("--first", options.first, "the first seed (1)");
  app.add_option("--seeds", options.seeds, "how many (200)");
  std::map<std::string, std::string> names;
  for (const NamedRule& rule : NamedRules()) names.emplace(rule.name, rule.name);
  app.add_option("--without", options.without,
                 "take this rule of replication away; more than once: each of them")
      ->check(CLI::IsMember(names));
  app.add_flag("--mutations", options.table, "take each rule away in turn, and say which seed notices");
  app.add_flag("--twice", options.twice, "run each twice: it must be the same run");
  app.add_flag("--verbose", options.verbose, "print what happens");
  CLI11_PARSE(app, argc, argv);
  return options.table ? RunTable(options) : RunSeeds(options);
}

}  // namespace
}  // namespace naru::sim

int main(int argc, char** argv) { return naru::sim::Main(argc, argv); }
