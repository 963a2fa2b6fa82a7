// What all streams, members and calls of the group service share. Outlives the service while answers are
// under way.
#pragma once

#include <memory>
#include <utility>

#include "cluster/group/groups.h"
#include "services/consume/consume_context.h"
#include "services/group/group_counters.h"
#include "services/group/poll_members.h"

namespace naru::services {

struct GroupServiceOptions {
  // Members that poll, of all groups together; each is remembered between its calls. At least 1.
  size_t pollers_max = 10'000;
};

struct GroupContext {
  GroupContext(std::shared_ptr<ConsumeContext> from, cluster::Groups& coordinator,
               const GroupServiceOptions& options)
      : consume(std::move(from)), groups(coordinator), pollers(options.pollers_max) {}

  // The store, the catalog, the executor, and the memory for messages: shared with the consume service.
  const std::shared_ptr<ConsumeContext> consume;
  cluster::Groups& groups;
  PollMembers pollers;
  GroupServiceCounters counters;
};

}  // namespace naru::services
