#include "tests/clients/fake_hub.h"

#include <algorithm>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "google/protobuf/unknown_field_set.h"

namespace naru::client::testing {
namespace {

naru::v1::Error ErrorOf(Reason reason) {
  naru::v1::Error error;
  error.set_code(static_cast<int>(CanonicalCode(reason)));
  error.set_reason(std::string(ReasonName(reason)));
  error.set_message("scripted");
  return error;
}

}  // namespace

// One ProduceStream.
struct FakeHub::StreamState {
  std::set<Key> failed;  // skipped until Resume
  std::vector<naru::v1::ProduceStreamResult> held;
  naru::v1::ProduceStreamResponse out;
};

FakeHub::FakeHub(int idle_connection_timeout_ms) {
  grpc::ServerBuilder builder;
  if (idle_connection_timeout_ms > 0) {
    builder.AddChannelArgument(GRPC_ARG_MAX_CONNECTION_IDLE_MS, idle_connection_timeout_ms);
  }
  int port = 0;
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
  builder.RegisterService(static_cast<naru::v1::ProduceService::Service*>(this));
  builder.RegisterService(static_cast<naru::v1::ConsumeService::Service*>(this));
  builder.RegisterService(static_cast<naru::v1::ClusterService::Service*>(this));
  builder.RegisterService(static_cast<naru::v1::TransactionService::Service*>(this));
  server_ = builder.BuildAndStart();
  address_ = absl::StrCat("127.0.0.1:", port);
}

FakeHub::~FakeHub() {
  stopping_ = true;
  server_->Shutdown(std::chrono::system_clock::now());
}

void FakeHub::AddTopic(const std::string& topic, int partitions) {
  absl::MutexLock lock(&mutex_);
  Topic& added = topics_[topic];
  added.partitions = partitions;
  if (added.id.empty()) added.id = absl::StrCat("topic id ", absl::Dec(++topics_made_, absl::kZeroPad7));
}

void FakeHub::RemoveLocked(const std::string& topic) {
  topics_.erase(topic);
  std::erase_if(logs_, [&topic](const auto& log) { return log.first.first == topic; });
  std::erase_if(producers_, [&topic](const auto& table) { return table.first.first == topic; });
  ++epoch_;
}

void FakeHub::RemoveTopic(const std::string& topic) {
  absl::MutexLock lock(&mutex_);
  RemoveLocked(topic);
}

void FakeHub::RemakeTopic(const std::string& topic, int partitions) {
  absl::MutexLock lock(&mutex_);
  RemoveLocked(topic);
  topics_[topic] = {partitions, absl::StrCat("topic id ", absl::Dec(++topics_made_, absl::kZeroPad7))};
}

grpc::Status FakeHub::CheckTopic(const std::string& topic, const std::string& topic_id,
                                 grpc::ServerContext& context) {
  const auto found = topics_.find(topic);
  if (found != topics_.end() && (topic_id.empty() || topic_id == found->second.id)) return grpc::Status::OK;
  const Reason reason = found == topics_.end() ? Reason::kTopicNotFound : Reason::kTopicIdMismatch;
  context.AddTrailingMetadata("naru-reason", std::string(ReasonName(reason)));
  return grpc::Status(static_cast<grpc::StatusCode>(CanonicalCode(reason)), "no such topic");
}

void FakeHub::OnItem(std::function<ItemFate(int, const naru::v1::ProduceRequest&)> script) {
  absl::MutexLock lock(&mutex_);
  script_ = std::move(script);
}

void FakeHub::OnInitProducer(std::function<grpc::Status(int)> script) {
  absl::MutexLock lock(&mutex_);
  init_script_ = std::move(script);
}

void FakeHub::OnStreamBroken(std::function<void()> called) {
  absl::MutexLock lock(&mutex_);
  stream_broken_ = std::move(called);
}

void FakeHub::ForgetProducers() {
  absl::MutexLock lock(&mutex_);
  producers_.clear();
}

grpc::Status FakeHub::InitProducer(grpc::ServerContext*, const naru::v1::InitProducerRequest*,
                                   naru::v1::InitProducerResponse* response) {
  absl::MutexLock lock(&mutex_);
  const int number = ++init_producer_calls_;
  response->set_producer_id(number);
  return init_script_ ? init_script_(number) : grpc::Status::OK;
}

void FakeHub::BreakSubscribeAt(std::set<int> delivery_numbers) {
  absl::MutexLock lock(&mutex_);
  break_subscribe_at_ = std::move(delivery_numbers);
}

void FakeHub::AdvertiseLeaderAt(std::string address) {
  absl::MutexLock lock(&mutex_);
  leader_address_ = std::move(address);
}

std::vector<std::string> FakeHub::Values(const std::string& topic, int partition) {
  absl::MutexLock lock(&mutex_);
  std::vector<std::string> values;
  for (const auto& record : logs_[{topic, partition}]) values.push_back(record.value());
  return values;
}

void FakeHub::Append(const std::string& topic, int partition, const std::string& value) {
  absl::MutexLock lock(&mutex_);
  auto& log = logs_[{topic, partition}];
  naru::v1::Record& record = log.emplace_back();
  record.set_value(value);
  record.set_timestamp_ms(1);
  record.set_offset(static_cast<int64_t>(log.size()) - 1);
  changed_.SignalAll();
}

void FakeHub::AppendUnreadable(const std::string& topic, int partition) {
  absl::MutexLock lock(&mutex_);
  naru::v1::Record& record = logs_[{topic, partition}].emplace_back();
  record.GetReflection()->MutableUnknownFields(&record)->AddGroup(200);
  changed_.SignalAll();
}

std::vector<naru::v1::SubscribeStart> FakeHub::starts() {
  absl::MutexLock lock(&mutex_);
  return starts_;
}

grpc::Status FakeHub::GetMetadata(grpc::ServerContext* context, const naru::v1::GetMetadataRequest* request,
                                  naru::v1::GetMetadataResponse* response) {
  bool held = false;
  while (metadata_held_ && !context->IsCancelled() && !stopping_) {
    if (!std::exchange(held, true)) ++metadata_calls_held_;
    absl::MutexLock lock(&mutex_);
    changed_.WaitWithTimeout(&mutex_, absl::Milliseconds(1));
  }
  absl::MutexLock lock(&mutex_);
  ++metadata_calls_;
  auto* metadata = response->mutable_metadata();
  auto* broker = metadata->add_brokers();
  broker->set_broker_id(1);
  broker->set_address(leader_address_.empty() ? address_ : leader_address_);
  for (const std::string& name : request->topics()) {
    auto* topic = metadata->add_topics();
    topic->set_name(name);
    const auto found = topics_.find(name);
    if (found == topics_.end()) {
      *topic->mutable_error() = ErrorOf(Reason::kTopicNotFound);
      continue;
    }
    topic->set_topic_id(found->second.id);
    for (int i = 0; i < found->second.partitions; ++i) {
      auto* partition = topic->add_partitions();
      partition->set_partition(i);
      partition->set_leader(1);
    }
  }
  return grpc::Status::OK;
}

void FakeHub::Append(const naru::v1::ProduceRequest& produce, naru::v1::ProduceStreamResult& result) {
  const Key key{produce.topic(), produce.partition()};
  auto& log = logs_[key];
  auto* appended = result.add_results();
  appended->set_partition(produce.partition());
  appended->set_append_time_ms(1'700'000'000'000);
  if (produce.batch().has_producer()) {
    const naru::v1::ProducerStamp& sent = produce.batch().producer();
    const ProducerStamp stamp{sent.producer_id(), sent.epoch(), sent.base_sequence()};
    ProducerTable& producers = producers_[key];
    const auto known = producers.Check(stamp, produce.batch().records_size());
    if (!known.ok()) {
      result.clear_results();
      *result.mutable_error() = ErrorOf(*ReasonOf(known.status()));
      for (const auto& [name, value] : MetadataOf(known.status())) {
        (*result.mutable_error()->mutable_metadata())[name] = value;
      }
      return;
    }
    if (*known != nullptr) {
      ++duplicates_;
      appended->set_base_offset((*known)->base_offset.value());
      appended->set_next_offset((*known)->base_offset.value() + produce.batch().records_size());
      appended->set_duplicate(true);
      return;
    }
    producers.Append(stamp, produce.batch().records_size(), Offset(static_cast<int64_t>(log.size())), 0);
  }
  appended->set_base_offset(static_cast<int64_t>(log.size()));
  for (naru::v1::Record record : produce.batch().records()) {
    record.set_offset(static_cast<int64_t>(log.size()));
    if (record.timestamp_ms() == 0) record.set_timestamp_ms(1'700'000'000'000);
    log.push_back(std::move(record));
  }
  appended->set_next_offset(static_cast<int64_t>(log.size()));
}

bool FakeHub::Handle(const naru::v1::ProduceStreamRequest& request, StreamState& state) {
  naru::v1::ProduceStreamResult result;
  result.set_id(request.id());
  if (request.has_resume()) {
    ++resumes_;
    for (int partition : request.resume().partitions())
      state.failed.erase({request.resume().topic(), partition});
    *state.out.add_results() = result;
    return true;
  }
  absl::MutexLock lock(&mutex_);
  const naru::v1::ProduceRequest& produce = request.produce();
  const Key key{produce.topic(), produce.partition()};
  const bool skipped = state.failed.contains(key);
  const int number = skipped ? items_.load() : ++items_;
  const ItemFate fate = skipped || !script_ ? ItemFate{} : script_(number, produce);
  if (fate.break_before) return false;
  if (skipped || fate.error) {
    *result.mutable_error() = ErrorOf(skipped ? Reason::kStreamItemSkipped : *fate.error);
    state.failed.insert(key);
  } else {
    Append(produce, result);
    if (result.has_error()) state.failed.insert(key);
    if (produce.acks() == naru::v1::ACKS_NONE) result.clear_results();
  }
  if (fate.break_after) return false;
  if (fate.swallow) return true;
  if (fate.hold) {
    state.held.push_back(result);
    return true;
  }
  *state.out.add_results() = result;
  if (fate.release) {
    for (auto held = state.held.rbegin(); held != state.held.rend(); ++held) *state.out.add_results() = *held;
    state.held.clear();
  }
  return true;
}

grpc::Status FakeHub::ProduceStream(
    grpc::ServerContext*,
    grpc::ServerReaderWriter<naru::v1::ProduceStreamResponse, naru::v1::ProduceStreamRequest>* stream) {
  ++produce_streams_;
  StreamState state;
  naru::v1::ProduceStreamRequest request;
  while (stream->Read(&request)) {
    if (!Handle(request, state)) {
      std::function<void()> broken;
      {
        absl::MutexLock lock(&mutex_);
        broken = stream_broken_;
      }
      if (broken) broken();
      return grpc::Status(grpc::StatusCode::UNAVAILABLE, "scripted break");
    }
    if (state.out.results_size() > 0) {
      stream->Write(state.out);
      state.out.Clear();
    }
  }
  return grpc::Status::OK;
}

bool FakeHub::DeliverOnce(
    const naru::v1::SubscribeStart& start, int64_t epoch, std::map<Key, int64_t>& positions,
    std::atomic<int64_t>& credit,
    grpc::ServerReaderWriter<naru::v1::SubscribeResponse, naru::v1::SubscribeRequest>& stream, bool* sent) {
  for (const auto& topic : start.topics()) {
    for (const auto& wanted : topic.partitions()) {
      const Key key{topic.topic(), wanted.partition()};
      int64_t& position = positions.try_emplace(key, wanted.offset()).first->second;
      if (position < 0 || credit <= 0) continue;
      naru::v1::SubscribeResponse response;
      {
        absl::MutexLock lock(&mutex_);
        if (epoch != epoch_) return false;
        const auto& log = logs_[key];
        const int64_t end = wanted.has_end_offset() ? wanted.end_offset() : static_cast<int64_t>(log.size());
        if (wanted.has_end_offset() && position >= end) {
          auto* reached = response.mutable_end_reached();
          reached->set_topic(key.first);
          reached->set_partition(key.second);
          reached->set_next_offset(position);
          position = -1;
        } else if (position < end && position < static_cast<int64_t>(log.size())) {
          if (break_subscribe_at_.erase(++deliveries_) > 0) return false;
          auto* delivery = response.mutable_delivery();
          delivery->set_topic(key.first);
          delivery->set_partition(key.second);
          *delivery->add_records() = log[static_cast<size_t>(position)];
          delivery->set_next_offset(++position);
          // More than the parsed message has, so that a client that counts that runs dry.
          const auto bytes = static_cast<int64_t>(delivery->ByteSizeLong()) + 40;
          delivery->set_credit_bytes(bytes);
          credit -= bytes;
          credit_used_ += bytes;
          credit_overdrawn_ = std::max(credit_overdrawn_.load(), -credit.load());
        } else {
          continue;
        }
      }
      *sent = true;
      if (!stream.Write(response)) return false;
    }
  }
  return true;
}

grpc::Status FakeHub::Subscribe(
    grpc::ServerContext* context,
    grpc::ServerReaderWriter<naru::v1::SubscribeResponse, naru::v1::SubscribeRequest>* stream) {
  ++subscribe_streams_;
  naru::v1::SubscribeRequest request;
  if (!stream->Read(&request)) return grpc::Status::OK;
  const naru::v1::SubscribeStart start = request.start();
  int64_t epoch = 0;
  {
    absl::MutexLock lock(&mutex_);
    for (const auto& topic : start.topics()) {
      if (grpc::Status status = CheckTopic(topic.topic(), topic.topic_id(), *context); !status.ok())
        return status;
    }
    starts_.push_back(start);
    epoch = epoch_;
  }
  std::atomic<int64_t> credit = start.credit_bytes();
  std::thread reader([&] {
    naru::v1::SubscribeRequest more;
    while (stream->Read(&more)) credit += more.credit().bytes();
  });
  std::map<Key, int64_t> positions;
  int quiet_rounds = 0;
  grpc::Status status;
  while (!context->IsCancelled() && !stopping_) {
    bool sent = false;
    if (!DeliverOnce(start, epoch, positions, credit, *stream, &sent)) {
      status = grpc::Status(grpc::StatusCode::UNAVAILABLE, "scripted break");
      break;
    }
    if (!sent) {
      if (++quiet_rounds % 10 == 0) {
        naru::v1::SubscribeResponse idle;
        idle.mutable_idle()->set_credit_bytes(credit);
        stream->Write(idle);
      }
      // Credit arrives without a signal.
      absl::MutexLock lock(&mutex_);
      changed_.WaitWithTimeout(&mutex_, absl::Milliseconds(1));
    }
  }
  context->TryCancel();
  reader.join();
  return status;
}

grpc::Status FakeHub::ListOffsets(grpc::ServerContext* context, const naru::v1::ListOffsetsRequest* request,
                                  naru::v1::ListOffsetsResponse* response) {
  absl::MutexLock lock(&mutex_);
  if (grpc::Status status = CheckTopic(request->topic(), request->topic_id(), *context); !status.ok())
    return status;
  std::vector<int> partitions(request->partitions().begin(), request->partitions().end());
  if (partitions.empty()) {
    for (int i = 0; i < topics_[request->topic()].partitions; ++i) partitions.push_back(i);
  }
  for (int partition : partitions) {
    auto* found = response->add_offsets();
    found->set_partition(partition);
    const auto end = static_cast<int64_t>(logs_[{request->topic(), partition}].size());
    found->set_high_watermark(end);
    if (request->position() == naru::v1::POSITION_LATEST) found->set_offset(end);
  }
  return grpc::Status::OK;
}

}  // namespace naru::client::testing
