// What one group stream has delivered and its client has not acknowledged yet, and what may be committed:
// always a prefix of what was delivered of a partition, whatever the order of the acks. Pure; thread-unsafe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string_view>

#include "absl/status/statusor.h"
#include "storage/base/ids.h"

namespace naru::services {

class AckLedger {
 public:
  // Index of a partition of the stream.
  using Lane = uint32_t;

  struct Acked {
    Lane lane = 0;
    // Credit that comes back; 0 for a delivery that was acked before.
    int64_t credit_bytes = 0;
    // Everything of the lane below it is acked now, and was not before.
    std::optional<Offset> commit;
  };

  // A delivery of `lane` up to `next`, after all before it. Returns its id: 1, 2, 3 …
  int64_t Deliver(Lane lane, Offset next, int64_t credit_bytes);
  // INVALID_FIELD `field` for one that was never given out. Of a lane that was dropped: its credit.
  absl::StatusOr<Acked> Ack(std::string_view field, int64_t delivery_id);
  // Between the lane's last delivery and `next` there is nothing, after all: that delivery's ack covers it,
  // or, when none is outstanding, it may be committed now, as is returned.
  std::optional<Offset> Pass(Lane lane, Offset next);
  // Acks of this lane commit nothing any more.
  void Drop(Lane lane);

  size_t outstanding(Lane lane) const;
  size_t outstanding() const { return outstanding_; }
  int64_t outstanding_bytes() const { return outstanding_bytes_; }
  // What is remembered: from the oldest that is not acked to the newest. A client that never acks the oldest
  // makes it grow, whatever else it acks.
  size_t remembered() const { return deliveries_.size(); }

 private:
  struct Delivery {
    Lane lane = 0;
    Offset next;
    int64_t credit_bytes = 0;
    bool acked = false;
  };

  // By id, from first_id_ on; those in front that are acked are gone.
  std::deque<Delivery> deliveries_;
  int64_t first_id_ = 1;
  // Ids of each lane's deliveries that are not committed, in order.
  std::map<Lane, std::deque<int64_t>> lanes_;
  size_t outstanding_ = 0;
  int64_t outstanding_bytes_ = 0;
};

}  // namespace naru::services
