// A member whose group's coordinator moves to another broker.
#pragma once

#include <map>
#include <string_view>
#include <vector>

#include "tests/services/group/session_recorder.h"

namespace naru::services {

class ResumingSessionTest : public GroupSessionTest {
 protected:
  static absl::Status Moving(Reason reason = Reason::kCoordinatorLoading) {
    return MakeError(reason, "the coordinator is moving");
  }
  void LoseCoordinator() { session_.OnEnded(Moving()); }
  // The session asks anew.
  void AskAgain() {
    const size_t asked = effects_.joins.size();
    clock_.AdvanceMs(50);
    session_.OnTick();
    ASSERT_EQ(effects_.joins.size(), asked + 1);
  }
  // It has: the new coordinator knows that it owns these, and asks it to give back those.
  void Resume(const std::map<int, int64_t>& owned, const std::vector<int>& revoked = {}) {
    AskAgain();
    session_.OnJoined("m", 7);
    if (!revoked.empty()) Revoke(revoked);
    Assign(owned);
  }
  int CountOf(std::string_view effect) const {
    int count = 0;
    for (const std::string& each : effects_.effects) count += each == effect ? 1 : 0;
    return count;
  }
};

}  // namespace naru::services
