// A process in the coordinator's role: stands for election, and while it is elected runs the
// CoordinatorMachine between the metadata store and the brokers' sessions.
//
// It owns one thread, on which everything of it happens.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "cluster/coordinator/cluster_store.h"
#include "cluster/coordinator/coordinator_machine.h"
#include "cluster/loop/event_loop.h"
#include "naru/internal/v1/coordinator.pb.h"
#include "storage/base/clock.h"
#include "storage/base/event_log.h"

namespace naru::cluster {

struct CoordinatorProcessOptions {
  CoordinatorMachineOptions machine;
  // How long to wait after a read that failed, milliseconds. At least 1.
  int64_t retry_ms = 300;
};

struct CoordinatorSnapshot {
  bool active = false;
  int64_t term = 0;     // of the election won last
  int64_t version = 0;  // of the metadata
  int64_t elections_won = 0;
  int64_t sessions = 0;
};

class CoordinatorProcess {
 public:
  // The way to one broker. Called on the process's thread; must not block or call back.
  class Session {
   public:
    virtual ~Session() = default;
    virtual void Send(std::shared_ptr<const naru::internal::v1::AttendResponse> message) = 0;
    virtual void End(absl::Status why) = 0;
  };
  using SessionId = uint64_t;
  using TopicsDone = absl::AnyInvocable<void(absl::StatusOr<naru::internal::v1::ChangeTopicsResponse>)>;

  // Everything outlives the process.
  CoordinatorProcess(CoordinatorProcessOptions options, ClusterStore& store, const Clock& clock,
                     EventLog& events);
  ~CoordinatorProcess();

  // Stands for election under this address (host:port of CoordinatorService). Once.
  void Start(std::string address);
  // Ends sessions with SHUTTING_DOWN and gives the election up. Idempotent; blocks.
  void Stop();

  // From any thread. A session is Ended by the process, or Closed by its other side; nothing is sent after
  // either.
  SessionId Open(std::shared_ptr<Session> session);
  void OnMessage(SessionId session, naru::internal::v1::AttendRequest message);
  void Closed(SessionId session);

  // From any thread; `done` on the process's. NOT_COORDINATOR unless it is elected.
  void ChangeTopics(naru::internal::v1::ChangeTopicsRequest request, TopicsDone done);

  CoordinatorSnapshot Snapshot() const;

 private:
  struct Attendant {
    std::shared_ptr<Session> session;
    bool greeted = false;
    bool registered = false;
    BrokerId broker = kNoBroker;
    BrokerEpoch epoch;
  };
  struct WaitingProposal {
    SessionId session = 0;
    int64_t attempt = 0;
  };

  void Won(int64_t term);
  void Lost(int64_t term);
  void ReadFor(int64_t term);
  void Begin(int64_t term, ClusterMetadata stored);
  void Tick();
  // It is not active any more: sessions end, what waits is answered.
  void Ended(const absl::Status& why);
  absl::Status NotCoordinator() const;

  void OnHello(SessionId id, Attendant& attendant, const naru::internal::v1::Hello& hello);
  void OnHeartbeat(Attendant& attendant, const naru::internal::v1::Heartbeat& heartbeat);
  void OnPropose(SessionId id, const Attendant& attendant, const naru::internal::v1::ProposeIsr& propose);
  void OnDamage(const Attendant& attendant, const naru::internal::v1::ReportDamage& report);
  void Drop(SessionId id, const absl::Status& why);
  void Welcome(SessionId id, Attendant& attendant, BrokerEpoch epoch);
  void Unregister(Attendant& attendant);

  void Do(CoordinatorEffects effects);
  void Write(const MetadataWrite& write);
  void Read(int64_t id);
  void Publish(const PublishChange& change);
  void Answer(const AnswerRegistration& answer);
  void Answer(const AnswerProposal& answer);
  void Answer(const AnswerTopicRequest& answer);
  void Count();

  const CoordinatorProcessOptions options_;
  const ReplicationRules rules_;
  ClusterStore& store_;
  const Clock& clock_;
  EventLog& events_;

  // Of the loop's thread.
  int64_t term_ = 0;  // 0: not elected
  std::unique_ptr<CoordinatorMachine> machine_;
  std::map<SessionId, Attendant> attendants_;
  std::map<BrokerId, SessionId> of_broker_;
  uint64_t last_request_ = 0;
  std::map<uint64_t, SessionId> registrations_;
  std::map<uint64_t, WaitingProposal> proposals_;
  std::map<uint64_t, TopicsDone> topic_requests_;
  bool stopping_ = false;

  std::atomic<SessionId> last_session_{0};
  std::atomic<int64_t> counted_term_{0};
  std::atomic<int64_t> counted_version_{0};
  std::atomic<int64_t> counted_elections_{0};
  std::atomic<int64_t> counted_sessions_{0};
  std::atomic<bool> counted_active_{false};
  EventLoop loop_;  // last: its thread uses all of the above
};

}  // namespace naru::cluster
