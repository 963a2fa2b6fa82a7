// A GroupSession between a client, a group, a log and a clock that do anything they may, as bytes say; and
// what must hold of it whatever they do.
#pragma once

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "services/group/group_session.h"
#include "services/group/offset_commits.h"
#include "storage/base/check.h"
#include "storage/base/clock.h"
#include "storage/base/status.h"
#include "tests/storage/batch/batch_bytes.h"

namespace naru::services {

// One byte after another; zeros at the end.
class Choices {
 public:
  explicit Choices(const std::string& bytes) : bytes_(bytes) {}
  bool more() const { return at_ < bytes_.size(); }
  int Next(int below) { return more() ? static_cast<unsigned char>(bytes_[at_++]) % below : 0; }

 private:
  const std::string& bytes_;
  size_t at_ = 0;
};

class GroupSessionModel final : private GroupSession::Effects {
 public:
  static constexpr int kPartitions = 3;

  explicit GroupSessionModel(const std::string& bytes) : choices_(bytes) {
    auto topic = std::make_shared<cluster::TopicInfo>();
    topic->name = "orders";
    topic->topic_id = std::string(16, 'o');
    for (int i = 0; i < kPartitions; ++i)
      topic->partitions.push_back({.log = LogId(static_cast<uint64_t>(i))});
    auto catalog = std::make_shared<cluster::TopicCatalog>();
    catalog->topics["orders"] = topic;
    catalog_ = catalog;
  }

  void Run() {
    plan_.group = "g";
    plan_.join.member_id = "m";
    plan_.join.attempt.requester = 1;
    plan_.start = static_cast<naru::v1::StartPolicy>(1 + choices_.Next(3));
    plan_.commit_mode = static_cast<naru::v1::CommitMode>(1 + choices_.Next(3));
    plan_.form = static_cast<naru::v1::Delivery>(1 + choices_.Next(2));
    plan_.message_bytes_max = 1 << 16;
    plan_.unacked_bytes_max = 64 << choices_.Next(8);
    plan_.progress_timeout = std::chrono::milliseconds(1'000);
    plan_.idle_interval = std::chrono::milliseconds(100);
    session_.Join(plan_);
    session_.OnJoined("m", 3);
    while (choices_.more() && !finished_) Step(choices_.Next(20));
    if (!finished_) Settle();
  }

 private:
  using Lane = GroupSession::Lane;
  using Partition = cluster::GroupPartition;
  struct Delivered {
    int64_t next = 0;
    bool acked = false;
  };
  // A partition, as the group, the log and the client see it.
  struct Place {
    int64_t log_start = 0;
    int64_t end = 10;
    std::optional<int64_t> committed;  // durable
    bool granted = false;
    bool revoking = false;
    bool told = false;                 // the client knows that it has it, and not that it goes
    int64_t position = 0;              // everything below was delivered, since it was granted
    std::vector<Delivered> delivered;  // since it was granted
    int64_t sent = -1;                 // the newest commit by acks or deliveries, since it was granted
    int64_t durable = -1;              // of these
    std::set<int64_t> ends;            // where it may have begun at the end
  };

  Place& At(const Partition& partition) { return places_[static_cast<size_t>(partition.partition)]; }
  Place& At(LogId log) { return places_[log.value()]; }
  static Partition Of(int number) { return {ToTopicId(std::string(16, 'o')), number}; }

  void Step(int what) {
    const int number = choices_.Next(kPartitions);
    Place& place = places_[static_cast<size_t>(number)];
    switch (what) {
      case 0:
      case 1:
        return Grant(number, place);
      case 2:
        return Revoke(number, place);
      case 3:
      case 4:
      case 5:
        return AnswerRead();
      case 6:
      case 7:
      case 8:
        return Take(true);
      case 9:
      case 10:
      case 11:
        return Ack();
      case 12:
      case 13:
        return AnswerCommit(absl::OkStatus());
      case 14:
        place.end += 1 + choices_.Next(8);
        NoteEnds();
        return Awake();
      case 15:
        place.log_start = std::min<int64_t>(place.end, place.log_start + choices_.Next(6));
        return;
      case 16:
        return session_.SetDelivering(choices_.Next(2) == 0);
      case 17:
        return Commit(number, place);
      case 18:
        clock_.AdvanceMs(choices_.Next(256));
        return session_.OnTick();
      default:
        return Seldom(choices_.Next(32));
    }
  }
  void Seldom(int what) {
    if (what == 0) {
      half_closed_ = true;
      session_.OnHalfClose();
    }
    if (what == 1) session_.End(MakeError(Reason::kShuttingDown, "stopping"));
    if (what == 2) {
      ended_ = true;
      session_.OnEnded(MakeError(Reason::kMemberFenced, "newer"));
    }
    if (what == 3) Take(false);
    if (what == 4) AnswerCommit(MakeError(Reason::kMemberFenced, "newer"));
    if (what == 5) session_.Ack("ack", last_id_ + 1);
    if (what == 6) session_.Progress();
    if (what > 6) clock_.AdvanceMs(10), session_.OnTick();
  }
  // Whatever is out comes back, and the client closes: it ends, and in order.
  void Settle() {
    session_.SetDelivering(true);
    for (int i = 0; i < 10'000 && !finished_; ++i) {
      if (i == 50) {
        half_closed_ = true;
        session_.OnHalfClose();
      }
      if (finished_) return;
      if (writing_) Take(true);
      if (!finished_ && reading_) AnswerRead();
      if (!finished_ && !commits_.empty()) AnswerCommit(absl::OkStatus());
    }
    NARU_CHECK(finished_);
  }

  void Grant(int number, Place& place) {
    if (place.granted || ended_) return;
    place.granted = true;
    place.revoking = false;
    place.position = 0;
    place.delivered.clear();
    place.sent = place.durable = -1;
    place.ends.clear();
    NoteEnds();
    std::optional<cluster::CommittedOffset> committed;
    if (place.committed) committed = cluster::CommittedOffset{.offset = *place.committed};
    session_.OnAssigned({{Of(number), committed}});
  }
  void Revoke(int number, Place& place) {
    if (!place.granted || place.revoking || ended_) return;
    place.revoking = true;
    session_.OnRevoking({Of(number)});
  }
  void NoteEnds() {
    for (Place& place : places_) {
      if (place.granted) place.ends.insert(place.end);
    }
  }
  void AnswerRead() {
    if (!reading_) return;
    const auto [lane, request] = *std::exchange(reading_, std::nullopt);
    Place& place = At(request.log);
    const int64_t from = request.from.value();
    const int choice = choices_.Next(64);
    if (choice == 63) return session_.OnRead(lane, MakeError(Reason::kCorruptData, "bad"), {});
    if (from < place.log_start || from > place.end) {
      return session_.OnRead(lane, MakeError(Reason::kOffsetOutOfRange, "offset: gone"), {});
    }
    ReadResult result{.log_start = Offset(place.log_start), .readable_end = Offset(place.end)};
    const int64_t count = std::min<int64_t>(place.end - from, 1 + choice % 4);
    if (count > 0) {
      StoredBatchView batch;
      batch.base_offset = request.from;
      batch.next_offset = request.from + count;
      batch.record_count = static_cast<int32_t>(count);
      batch.bytes = absl::Cord(batch_bytes::Batch(
          std::vector<std::string>(static_cast<size_t>(count), batch_bytes::Keyless("0123456789"))));
      result.batches.push_back(batch);
    }
    session_.OnRead(lane, std::move(result), {});
  }
  void Awake() {
    for (auto it = watches_.begin(); it != watches_.end();) {
      const auto [lane, watch] = *it;
      if (At(watch.first).end <= watch.second) {
        ++it;
        continue;
      }
      watches_.erase(it);
      if (finished_) return;
      session_.OnReadable(lane);
      it = watches_.begin();
    }
  }
  void Take(bool ok) {
    if (!writing_) return;
    writing_ = false;
    session_.OnWritten(ok);
  }
  void Ack() {
    if (last_id_ == 0) return;
    const int64_t id = 1 + choices_.Next(static_cast<int>(std::min<int64_t>(last_id_, 256)));
    const auto open = open_.find(id);
    if (open != open_.end()) {
      const auto [partition, index, grant] = open->second;
      Place& place = places_[static_cast<size_t>(partition)];
      NARU_CHECK(grants_[static_cast<size_t>(partition)] == grant);  // else it was released before
      place.delivered[index].acked = true;
      open_.erase(open);
    }
    session_.Ack("ack", id);
  }
  void AnswerCommit(const absl::Status& status) {
    if (commits_.empty()) return;
    const auto [number, commit] = std::move(commits_.front());
    commits_.erase(commits_.begin());
    if (status.ok()) {
      for (const auto& [partition, committed] : commit.offsets) {
        At(partition).committed = committed.offset;
        if (!own_.contains(number)) At(partition).durable = committed.offset;
      }
    }
    session_.OnCommitted(number, status);
  }
  void Commit(int number, const Place& place) {
    naru::v1::Commit commit;
    commit.set_commit_id(5);
    naru::v1::OffsetCommit& position = *commit.add_offsets();
    position.set_topic("orders");
    position.set_partition(number);
    position.set_offset(choices_.Next(static_cast<int>(place.end) + 2));
    asked_.emplace(number, position.offset());
    session_.Commit(commit);
  }
  // Where everything that was delivered is acknowledged up to; -1: nothing is.
  static int64_t Prefix(const Place& place) {
    int64_t prefix = -1;
    for (const Delivered& delivered : place.delivered) {
      if (!delivered.acked) break;
      prefix = delivered.next;
    }
    return prefix;
  }

  // What the session does.
  std::shared_ptr<const cluster::TopicCatalog> Catalog() override { return catalog_; }
  bool SetAside(int64_t) override { return true; }
  void Join(const std::string&, const cluster::JoinGroup&) override {}
  void Commit(GroupSession::CommitNumber number, cluster::CommitOffsets commit) override {
    NARU_CHECK(!finished_ && commit.member_id == "m" && commit.member_epoch == 3 && !commit.offsets.empty());
    // Which of them the client asked for shows by what is in it: one of acks with just that is as good.
    if (commit.offsets.size() == 1) {
      const auto& [partition, committed] = *commit.offsets.begin();
      if (const auto asked = asked_.find({partition.partition, committed.offset}); asked != asked_.end()) {
        asked_.erase(asked);
        own_.insert(number);
      }
    }
    for (const auto& [partition, committed] : commit.offsets) {
      Place& place = At(partition);
      if (own_.contains(number)) continue;  // what the client commits itself is its affair
      NARU_CHECK(plan_.commit_mode != naru::v1::COMMIT_MODE_EXPLICIT);
      NARU_CHECK(place.granted);
      const bool began =
          plan_.start == naru::v1::START_POLICY_LATEST && place.ends.contains(committed.offset);
      if (plan_.commit_mode == naru::v1::COMMIT_MODE_ON_ACK) {
        NARU_CHECK(began || committed.offset == Prefix(place));
      } else {
        NARU_CHECK(began || committed.offset > place.position);
      }
      NARU_CHECK(committed.offset >= place.sent);
      place.sent = committed.offset;
    }
    commits_.emplace_back(number, std::move(commit));
  }
  void Release(const std::set<Partition>& partitions) override {
    NARU_CHECK(!finished_ && !partitions.empty());
    for (const Partition& partition : partitions) {
      Place& place = At(partition);
      NARU_CHECK(place.granted && place.revoking);
      for (const Delivered& delivered : place.delivered) NARU_CHECK(delivered.acked);
      if (plan_.commit_mode == naru::v1::COMMIT_MODE_ON_ACK) NARU_CHECK(place.sent >= Prefix(place));
      place.granted = false;
      ++grants_[static_cast<size_t>(partition.partition)];
    }
  }
  void Leave() override {
    NARU_CHECK(!finished_);
    ended_ = true;
  }
  void Tell(const naru::v1::ConsumeResponse& response) override {
    Write();
    for (const auto& each : response.revoking().partitions()) {
      Place& place = At(Of(each.partition()));
      NARU_CHECK(place.told);
      place.told = false;
    }
    for (const auto& each : response.assigned().partitions()) {
      Place& place = At(Of(each.partition()));
      NARU_CHECK(!place.told && place.granted);
      place.told = true;
    }
  }
  void Deliver(OutgoingMessage message) override {
    Write();
    naru::v1::ConsumeResponse response;
    NARU_CHECK(response.ParseFromString(message.head + message.records + std::string(message.batches)));
    const naru::v1::GroupDelivery& delivery = response.delivery();
    Place& place = At(Of(delivery.partition()));
    NARU_CHECK(place.granted && place.told);
    const int64_t from =
        delivery.records().empty() ? delivery.batches(0).base_offset() : delivery.records(0).offset();
    NARU_CHECK(from >= place.position && delivery.next_offset() > from);
    place.position = delivery.next_offset();
    if (plan_.commit_mode == naru::v1::COMMIT_MODE_ON_DELIVERY) {
      NARU_CHECK(place.durable >= place.position);
    } else {
      NARU_CHECK(!half_closed_);
    }
    NARU_CHECK(delivery.delivery_id() == last_id_ + 1);
    last_id_ = delivery.delivery_id();
    place.delivered.push_back({.next = delivery.next_offset()});
    open_[last_id_] = {delivery.partition(), place.delivered.size() - 1,
                       grants_[static_cast<size_t>(delivery.partition())]};
  }
  void CutOff() override { NARU_CHECK(writing_ && !finished_); }
  void Finish(const absl::Status& status) override {
    NARU_CHECK(!finished_ && !writing_);
    finished_ = true;
    if (!status.ok()) return;
    NARU_CHECK(half_closed_ && commits_.empty());
    if (plan_.commit_mode != naru::v1::COMMIT_MODE_ON_ACK) return;
    for (const Place& place : places_) NARU_CHECK(!place.granted || place.sent >= Prefix(place));
  }
  void Write() {
    NARU_CHECK(!writing_ && !finished_);
    writing_ = true;
  }
  absl::StatusOr<LogInfo> Info(LogId log) override {
    LogInfo info;
    info.log_start = Offset(At(log).log_start);
    info.readable_end = info.end = info.durable_end = Offset(At(log).end);
    return info;
  }
  int64_t MessageBytesMax() override { return INT64_MAX; }
  void FindEdge(Lane, LogId, bool) override { NARU_CHECK(false); }
  void FindByTime(Lane, LogId, int64_t) override { NARU_CHECK(false); }
  void Read(Lane lane, const ReadRequest& request, int64_t, MemoryGate::Line) override {
    NARU_CHECK(!reading_ && !finished_);
    reading_.emplace(lane, request);
  }
  void Watch(Lane lane, LogId log, Offset offset) override { watches_[lane] = {log, offset.value()}; }
  void WatchLater(Lane) override { NARU_CHECK(false); }
  void Unwatch(Lane lane) override { NARU_CHECK(watches_.erase(lane) == 1); }
  Choices choices_;
  const ConsumeOptions options_;
  ManualClock clock_;
  JoinPlan plan_;
  std::shared_ptr<const cluster::TopicCatalog> catalog_;
  std::vector<Place> places_{kPartitions};
  std::vector<int> grants_ = std::vector<int>(kPartitions);
  std::vector<std::pair<GroupSession::CommitNumber, cluster::CommitOffsets>> commits_;
  std::optional<std::pair<Lane, ReadRequest>> reading_;
  std::map<Lane, std::pair<LogId, int64_t>> watches_;
  struct Open {
    int partition = 0;
    size_t index = 0;
    int grant = 0;
  };
  std::map<int64_t, Open> open_;  // deliveries without an ack
  int64_t last_id_ = 0;
  std::multiset<std::pair<int, int64_t>> asked_;  // commits of the client's own, not sent yet
  std::set<GroupSession::CommitNumber> own_;      // those sent
  bool writing_ = false;
  bool half_closed_ = false;
  bool ended_ = false;
  bool finished_ = false;
  GroupSession session_{options_, clock_, *this};
};

}  // namespace naru::services
