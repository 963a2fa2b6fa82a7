// The stamps of an idempotent producer's batches for one partition: which sequence comes next, and what
// becomes of it when a batch is given up. Pure; not thread-safe.
//
// A batch keeps its stamp however often it is sent. When one is given up, those behind it are out of
// sequence:
//   - it was surely not appended: then those behind it were not either, since the broker takes no batch
//   behind
//     a gap. They get new stamps: from its sequence on, or, where the broker may still have one of them in
//     its hands, from 0 in the next epoch, which shuts such a one out;
//   - nobody knows: those behind it that were never handed to a broker begin anew at 0 in the next epoch
//     (KIP-360). Those that may have been appended keep their stamps: the broker knows them again, or refuses
//     them with OUT_OF_ORDER_SEQUENCE because the one given up is missing. Never are they appended twice.
#pragma once

#include <cstdint>
#include <optional>

#include "storage/batch/producer_stamp.h"

namespace naru::client {

class BatchStamps {
 public:
  explicit BatchStamps(int64_t producer_id) : next_{.producer_id = producer_id} {}

  // For the next batch, of so many records.
  ProducerStamp Take(int64_t records);

  // Why a batch is not tried any more.
  enum class Loss {
    kNotAppended,
    kUnknown,
    kOutOfOrder,  // the broker does not have what comes before it
    kFenced,      // somebody else goes on under this id
  };
  // A batch with this stamp is given up, or cannot go on under it. Once or more, then Settle.
  void GiveUp(const ProducerStamp& stamp, Loss loss);
  // Some batch was given up whose place is to be closed before another is sent.
  bool unsettled() const { return lost_sequence_.has_value(); }

  // A batch that waits to be sent, again or for the first time.
  struct Waiting {
    std::optional<ProducerStamp> stamp;
    bool maybe_appended = false;
  };
  // Whether that batch is to be stamped anew, in view of what was given up.
  bool NeedsNewStamp(const Waiting& batch) const;
  // Closes the place. `unknown_behind`: some batch that NeedsNewStamp may be in the broker's hands.
  void Settle(bool unknown_behind);

 private:
  ProducerStamp next_;
  // The first of what was given up in this epoch.
  std::optional<int64_t> lost_sequence_;
  bool lost_unknown_ = false;
  bool out_of_order_ = false;
  bool fenced_ = false;
};

}  // namespace naru::client
