// Asks the appender for something and waits until it is done. Not from a thread of the store that the answer
// comes on.
#pragma once

#include <memory>
#include <utility>

#include "absl/synchronization/notification.h"
#include "storage/store/appender.h"
#include "storage/store/cold_reader.h"

namespace naru {

template <typename OpType>
absl::Status WaitForOp(Appender& appender, OpType op) {
  struct Answer {
    absl::Notification given;
    absl::Status status;
  };
  auto answer = std::make_shared<Answer>();
  op.done = [answer](absl::Status status) {  // NOLINT(performance-unnecessary-value-param): it is moved
    answer->status = std::move(status);
    answer->given.Notify();
  };
  Op wrapped = std::move(op);
  if (!appender.Enqueue(wrapped)) return ShuttingDown();
  answer->given.WaitForNotification();
  return answer->status;
}

}  // namespace naru
