#include "services/group/ack_ledger.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "storage/base/status.h"

namespace naru::services {

int64_t AckLedger::Deliver(Lane lane, Offset next, int64_t credit_bytes) {
  const int64_t id = first_id_ + static_cast<int64_t>(deliveries_.size());
  deliveries_.push_back({.lane = lane, .next = next, .credit_bytes = credit_bytes});
  lanes_[lane].push_back(id);
  ++outstanding_;
  outstanding_bytes_ += credit_bytes;
  return id;
}

absl::StatusOr<AckLedger::Acked> AckLedger::Ack(std::string_view field, int64_t delivery_id) {
  const int64_t end = first_id_ + static_cast<int64_t>(deliveries_.size());
  if (delivery_id < 1 || delivery_id >= end) {
    return InvalidField(field, absl::StrCat(delivery_id),
                        end == 1 ? "nothing was delivered to this member yet"
                                 : absl::StrCat("allowed: 1 to ", end - 1, ", of deliveries to this member"));
  }
  if (delivery_id < first_id_) return Acked{};
  Delivery& delivery = deliveries_[static_cast<size_t>(delivery_id - first_id_)];
  if (delivery.acked) return Acked{.lane = delivery.lane};
  delivery.acked = true;
  --outstanding_;
  outstanding_bytes_ -= delivery.credit_bytes;
  Acked acked{.lane = delivery.lane, .credit_bytes = delivery.credit_bytes};
  if (const auto lane = lanes_.find(delivery.lane); lane != lanes_.end()) {
    std::deque<int64_t>& ids = lane->second;
    while (!ids.empty()) {
      const Delivery& first = deliveries_[static_cast<size_t>(ids.front() - first_id_)];
      if (!first.acked) break;
      acked.commit = first.next;
      ids.pop_front();
    }
    if (ids.empty()) lanes_.erase(lane);
  }
  // The lowest id of all is the lowest of its lane: once acked, it is committed.
  while (!deliveries_.empty() && deliveries_.front().acked) {
    deliveries_.pop_front();
    ++first_id_;
  }
  return acked;
}

std::optional<Offset> AckLedger::Pass(Lane lane, Offset next) {
  const auto ids = lanes_.find(lane);
  if (ids == lanes_.end()) return next;
  deliveries_[static_cast<size_t>(ids->second.back() - first_id_)].next = next;
  return std::nullopt;
}

void AckLedger::Drop(Lane lane) { lanes_.erase(lane); }

size_t AckLedger::outstanding(Lane lane) const {
  const auto it = lanes_.find(lane);
  if (it == lanes_.end()) return 0;
  return static_cast<size_t>(std::ranges::count_if(
      it->second, [this](int64_t id) { return !deliveries_[static_cast<size_t>(id - first_id_)].acked; }));
}

}  // namespace naru::services
