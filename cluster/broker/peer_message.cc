#include "cluster/broker/peer_message.h"

#include <string>
#include <utility>

namespace naru::cluster {

namespace v1 = naru::internal::v1;

void ToMessage(const StoredBatchView& batch, v1::ReplicaBatch& to) {
  to.set_base_offset(batch.base_offset.value());
  to.set_next_offset(batch.next_offset.value());
  to.set_leader_epoch(batch.leader_epoch.value());
  to.set_append_time_ms(batch.append_time_ms);
  to.set_max_timestamp_ms(batch.max_timestamp_ms);
  to.set_record_count(batch.record_count);
  to.set_crc32c(batch.crc32c);
  to.mutable_offset_deltas()->Add(batch.offset_deltas.begin(), batch.offset_deltas.end());
  to.set_append_time_stamped(batch.append_time_stamped);
  if (batch.producer) {
    to.mutable_producer()->set_producer_id(batch.producer->producer_id);
    to.mutable_producer()->set_epoch(batch.producer->epoch);
    to.mutable_producer()->set_base_sequence(batch.producer->base_sequence);
  }
  absl::CopyCordToString(batch.bytes, to.mutable_batch());
}

StoredBatchView FromMessage(v1::ReplicaBatch& from) {
  StoredBatchView batch;
  batch.base_offset = Offset(from.base_offset());
  batch.next_offset = Offset(from.next_offset());
  batch.leader_epoch = LeaderEpoch(from.leader_epoch());
  batch.append_time_ms = from.append_time_ms();
  batch.max_timestamp_ms = from.max_timestamp_ms();
  batch.record_count = from.record_count();
  batch.crc32c = from.crc32c();
  batch.offset_deltas.assign(from.offset_deltas().begin(), from.offset_deltas().end());
  batch.append_time_stamped = from.append_time_stamped();
  if (from.has_producer()) {
    batch.producer = ProducerStamp{from.producer().producer_id(), from.producer().epoch(),
                                   from.producer().base_sequence()};
  }
  batch.bytes = absl::Cord(std::move(*from.mutable_batch()));
  return batch;
}

namespace {

void ToMessage(const ProducerState& producer, v1::KnownProducer& to) {
  to.set_producer_id(producer.producer_id);
  to.set_epoch(producer.epoch);
  to.set_next_sequence(producer.next_sequence);
  for (const ProducerState::Batch& batch : producer.batches) {
    v1::KnownProducer::Batch& remembered = *to.add_batches();
    remembered.set_base_sequence(batch.base_sequence);
    remembered.set_next_sequence(batch.next_sequence);
    remembered.set_base_offset(batch.base_offset.value());
    remembered.set_append_time_ms(batch.append_time_ms);
  }
}

ProducerState FromMessage(const v1::KnownProducer& from) {
  ProducerState producer;
  producer.producer_id = from.producer_id();
  producer.epoch = from.epoch();
  producer.next_sequence = from.next_sequence();
  for (const v1::KnownProducer::Batch& batch : from.batches()) {
    producer.batches.push_back(
        {batch.base_sequence(), batch.next_sequence(), Offset(batch.base_offset()), batch.append_time_ms()});
  }
  return producer;
}

}  // namespace

v1::PartitionFetch ToMessage(LogId log, const ReplicaFetch& fetch) {
  v1::PartitionFetch to;
  to.set_log_id(log.value());
  to.set_leader_epoch(fetch.leader_epoch.value());
  to.set_last_fetched_epoch(fetch.last_fetched_epoch.value());
  to.set_offset(fetch.offset.value());
  to.set_durable_end(fetch.durable_end.value());
  to.set_durable_start(fetch.durable_start.value());
  return to;
}

ReplicaFetch FromMessage(BrokerId follower, BrokerEpoch epoch, const v1::PartitionFetch& from) {
  return {.follower = follower,
          .broker_epoch = epoch,
          .leader_epoch = LeaderEpoch(from.leader_epoch()),
          .last_fetched_epoch = LeaderEpoch(from.last_fetched_epoch()),
          .offset = Offset(from.offset()),
          .durable_end = Offset(from.durable_end()),
          .durable_start = Offset(from.durable_start())};
}

v1::FetchedPartition ToMessage(LogId log, const ReplicaFetchAnswer& answer) {
  using Kind = ReplicaFetchAnswer::Kind;
  v1::FetchedPartition to;
  to.set_log_id(log.value());
  switch (answer.kind) {
    case Kind::kRefused:
      to.set_kind(v1::FetchedPartition::KIND_REFUSED);
      break;
    case Kind::kBatches:
      to.set_kind(v1::FetchedPartition::KIND_BATCHES);
      break;
    case Kind::kDiverging:
      to.set_kind(v1::FetchedPartition::KIND_DIVERGING);
      break;
    case Kind::kOutOfRange:
      to.set_kind(v1::FetchedPartition::KIND_OUT_OF_RANGE);
      break;
  }
  to.set_leader_epoch(answer.leader_epoch.value());
  to.set_offset(answer.offset.value());
  to.set_end_epoch(answer.epoch_end.epoch.value());
  to.set_epoch_end(answer.epoch_end.end.value());
  to.set_high_watermark(answer.high_watermark.value());
  to.set_log_start(answer.log_start.value());
  for (const ProducerState& producer : answer.producers) ToMessage(producer, *to.add_producers());
  return to;
}

ReplicaFetchAnswer FromMessage(const v1::FetchedPartition& from) {
  using Kind = ReplicaFetchAnswer::Kind;
  ReplicaFetchAnswer answer;
  switch (from.kind()) {
    case v1::FetchedPartition::KIND_BATCHES:
      answer.kind = Kind::kBatches;
      break;
    case v1::FetchedPartition::KIND_DIVERGING:
      answer.kind = Kind::kDiverging;
      break;
    case v1::FetchedPartition::KIND_OUT_OF_RANGE:
      answer.kind = Kind::kOutOfRange;
      break;
    default:
      answer.kind = Kind::kRefused;
  }
  answer.leader_epoch = LeaderEpoch(from.leader_epoch());
  answer.offset = Offset(from.offset());
  answer.epoch_end = {LeaderEpoch(from.end_epoch()), Offset(from.epoch_end())};
  answer.high_watermark = Offset(from.high_watermark());
  answer.log_start = Offset(from.log_start());
  for (const v1::KnownProducer& producer : from.producers())
    answer.producers.push_back(FromMessage(producer));
  return answer;
}

v1::LogFacts ToMessage(const LogInfo& info) {
  v1::LogFacts to;
  to.set_log_start(info.log_start.value());
  to.set_end(info.end.value());
  to.set_durable_end(info.durable_end.value());
  to.set_readable_end(info.readable_end.value());
  to.set_leader_epoch(info.leader_epoch.value());
  to.set_size_bytes(info.size_bytes);
  to.set_last_append_time_ms(info.last_append_time_ms);
  return to;
}

LogInfo FromMessage(const v1::LogFacts& from) {
  return {.log_start = Offset(from.log_start()),
          .end = Offset(from.end()),
          .durable_end = Offset(from.durable_end()),
          .readable_end = Offset(from.readable_end()),
          .leader_epoch = LeaderEpoch(from.leader_epoch()),
          .size_bytes = from.size_bytes(),
          .last_append_time_ms = from.last_append_time_ms()};
}

}  // namespace naru::cluster
