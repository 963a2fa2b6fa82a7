// Entries: what segments are made of. Every change of a store is one. See storage/FORMAT.md for the bytes.
// Pure, thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "storage/base/ids.h"
#include "storage/batch/producer_stamp.h"

namespace naru {

enum class EntryType : uint8_t {
  kBatch = 1,       // a client's RecordBatch; the body is its raw bytes
  kCreateLogs = 2,  // bodies of the others: storage/segments/control_bodies.h
  kDeleteLogs = 3,
  kMoveStarts = 4,
  kTruncate = 5,
  kBeginEpoch = 6,
  kReclaim = 7,          // the index lets go of runs that are dead
  kMove = 8,             // live runs copied to the head of the segments
  kMark = 9,             // nothing but its durable_sequence
  kSnapshot = 10,        // a piece of what is known of all logs
  kRemoveSegments = 11,  // these segments are needed no more
  kRewrite = 12          // as kMove, where records were left out, and how far logs are compacted
};

// Bits of EntryHeader::flags.
constexpr uint8_t kRunStart =
    1;  // first batch of a run; the header carries bytes_before and max_timestamp_before
constexpr uint8_t kAppendTimeStamped = 2;  // readers see the append time
constexpr uint8_t kHasProducer = 4;        // the header carries a producer stamp
constexpr uint8_t kFirstPiece = 8;         // of a snapshot
constexpr uint8_t kLastPiece = 16;
// Compaction left records out: the header says how many are left, and their offsets stand in front of the
// batch.
constexpr uint8_t kThinned = 32;
constexpr uint8_t kKnownFlags = 63;

constexpr size_t kEntryAlignment = 8;
constexpr size_t kFixedHeaderBytes = 72;
constexpr size_t kRunExtensionBytes = 16;
constexpr size_t kProducerExtensionBytes = 24;
constexpr size_t kThinnedExtensionBytes = 24;
constexpr size_t kHeaderBytesMax =
    kFixedHeaderBytes + kRunExtensionBytes + kProducerExtensionBytes + kThinnedExtensionBytes;

struct EntryHeader {
  uint32_t body_crc = 0;  // CRC-32C of the body, without padding
  uint32_t body_length = 0;
  EntryType type = EntryType::kMark;
  uint8_t flags = 0;
  Sequence sequence;
  // Everything up to this was known to be on stable storage when the entry was written.
  Sequence durable_sequence;
  // The rest is of batches; 0 elsewhere.
  LogId log;
  Offset base_offset;
  int64_t append_time_ms = 0;
  int64_t max_timestamp_ms = 0;
  LeaderEpoch leader_epoch;
  // Offsets that the batch takes; as many records, unless kThinned.
  uint32_t record_count = 0;
  // kRunStart: batch bytes of the log before this run since the log was made, and the greatest timestamp so
  // far.
  int64_t bytes_before = 0;
  int64_t max_timestamp_before = 0;
  // kHasProducer.
  int64_t producer_id = 0;
  int64_t producer_epoch = 0;
  int64_t producer_sequence = 0;
  // kThinned: what is left, perhaps nothing: then there is no body, and the entry stands for offsets whose
  // records are gone. The body is `deltas_length` bytes of offsets (EncodeOffsetDeltas), then the batch.
  uint32_t records_left = 0;
  uint32_t deltas_length = 0;
  uint32_t batch_crc = 0;  // CRC-32C of the batch alone
  // Batch bytes of all that the entry stands for, as they were appended.
  int64_t appended_bytes = 0;

  bool Has(uint8_t flag) const { return (flags & flag) != 0; }
  size_t header_bytes() const {
    return kFixedHeaderBytes + (Has(kRunStart) ? kRunExtensionBytes : 0) +
           (Has(kHasProducer) ? kProducerExtensionBytes : 0) + (Has(kThinned) ? kThinnedExtensionBytes : 0);
  }
  // With header and padding: how far the next entry is.
  size_t entry_bytes() const {
    return (header_bytes() + body_length + kEntryAlignment - 1) / kEntryAlignment * kEntryAlignment;
  }
  Offset next_offset() const { return base_offset + record_count; }
  std::optional<ProducerStamp> producer() const {
    if (!Has(kHasProducer)) return std::nullopt;
    return ProducerStamp{producer_id, producer_epoch, producer_sequence};
  }
  void set_producer(const ProducerStamp& stamp) {
    flags |= kHasProducer;
    producer_id = stamp.producer_id;
    producer_epoch = stamp.epoch;
    producer_sequence = stamp.base_sequence;
  }
  // Of a batch: what it holds now, and what it held when it was appended.
  uint32_t records() const { return Has(kThinned) ? records_left : record_count; }
  int64_t batch_bytes() const { return int64_t{body_length} - (Has(kThinned) ? deltas_length : 0); }
  int64_t bytes_appended() const { return Has(kThinned) ? appended_bytes : int64_t{body_length}; }
  uint32_t crc_of_batch() const { return Has(kThinned) ? batch_crc : body_crc; }
};

// Offsets of the records that are left, each less the batch's base offset, rising: as varints, the first as
// it is, the others less the one before and 1.
void EncodeOffsetDeltas(const std::vector<uint32_t>& deltas, std::string& to);
// `count` of them, all below `below`. False: the bytes are not what EncodeOffsetDeltas wrote.
bool DecodeOffsetDeltas(std::string_view bytes, uint32_t count, uint32_t below,
                        std::vector<uint32_t>& deltas);

// Appends header_bytes() bytes to `to`. `salt` is the store's: it goes into the header's checksum, so that no
// client can send bytes that pass for an entry.
void AppendEntryHeader(const EntryHeader& header, uint32_t salt, std::string& to);

enum class HeaderCheck {
  kGood,
  kZero,  // the fixed part is all zeros: here nothing was written
  kBad,
};

// Reads a header at the front of `bytes`, which may be cut short. Only kGood fills `header` completely.
HeaderCheck ParseEntryHeader(std::string_view bytes, uint32_t salt, EntryHeader& header);

}  // namespace naru
