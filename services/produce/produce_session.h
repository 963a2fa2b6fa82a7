// The protocol of one ProduceStream, without gRPC, threads or the store: what is read, what is answered, when
// to stop reading, when the stream ends. Its stream feeds it what happened and then does what Next says until
// that is kNone. Thread-unsafe.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "services/produce/produce_answer.h"
#include "services/produce/produce_options.h"
#include "services/produce/stream_order.h"

namespace naru::services {

class ProduceSession {
 public:
  enum class Do {
    kNone,
    kAsk,     // ask whether to read; then OnMayRead
    kRead,    // start a read; then OnMessage or OnReadsEnd
    kWrite,   // start to write `answers`; then OnWritten
    kFinish,  // end with `status`; nothing comes after it
  };
  struct Step {
    Do what = Do::kNone;
    std::string answers;  // a ProduceStreamResponse
    absl::Status status;
  };

  explicit ProduceSession(const ProduceOptions& options) : options_(options) {}

  Step Next();

  void OnMayRead();
  // A message came, and is being worked on until OnHandled. False: the stream is ending, drop it.
  bool OnMessage();
  void OnHandled();
  // The client half-closed.
  void OnReadsEnd();
  void OnWritten(bool ok);
  // The call was cancelled or its connection broke.
  void OnCancel();
  // Answer what is under way, then end with `status`. The first one counts.
  void End(absl::Status status);

  // An item of `bytes` went to the store / all of it came back.
  void OnAccepted(int64_t bytes);
  void OnCompleted(int64_t bytes);
  // Adds the answer of an item; see AppendStreamResult.
  void Answer(int64_t id, const absl::Status& failure, const std::vector<PartOutcome>& outcomes);

  StreamOrder& order() { return order_; }
  // Nobody hears answers any more.
  bool ended() const { return cancelled_ || finished_; }

 private:
  enum class Reads { kIdle, kAsking, kMayRead, kReading, kHandling, kEnded };
  struct Chunk {
    std::string bytes;
    int64_t items = 0;
  };
  bool MayRead() const;
  Step NextWrite();

  const ProduceOptions& options_;
  StreamOrder order_;
  Reads reads_ = Reads::kIdle;
  bool writing_ = false;
  bool cancelled_ = false;
  bool finished_ = false;
  std::optional<absl::Status> end_;
  int64_t inflight_items_ = 0;
  int64_t inflight_bytes_ = 0;
  // Answers not handed to gRPC yet, each chunk a message of about stream_answer_bytes_max.
  std::deque<Chunk> answers_;
  int64_t answer_bytes_ = 0;
  // Answers that gRPC has not written yet, including those.
  int64_t unwritten_items_ = 0;
  int64_t writing_items_ = 0;
};

}  // namespace naru::services
