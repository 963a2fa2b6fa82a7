#include "tests/sim/batch_text.h"

#include <charconv>
#include <utility>

#include "storage/base/check.h"
#include "storage/base/strings.h"

namespace naru::sim {
namespace {

// Takes a number off the front.
bool Take(std::string_view& text, int64_t& number) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc()) return false;
  text.remove_prefix(static_cast<size_t>(end - text.data()));
  return true;
}

bool Take(std::string_view& text, char c) {
  if (text.empty() || text.front() != c) return false;
  text.remove_prefix(1);
  return true;
}

}  // namespace

std::string BatchText::ToText() const {
  std::string text;
  if (producer) {
    absl::StrAppend(&text, "p", producer->producer_id, "e", producer->epoch, "s", producer->base_sequence,
                    ":");
  }
  for (size_t i = 0; i < values.size(); ++i) absl::StrAppend(&text, i == 0 ? "" : ",", values[i]);
  return text;
}

std::optional<BatchText> BatchText::Parse(std::string_view text) {
  BatchText batch;
  if (Take(text, 'p')) {
    ProducerStamp& stamp = batch.producer.emplace();
    const bool whole = Take(text, stamp.producer_id) && Take(text, 'e') && Take(text, stamp.epoch) &&
                       Take(text, 's') && Take(text, stamp.base_sequence) && Take(text, ':');
    if (!whole) return std::nullopt;
  }
  do {
    if (!Take(text, batch.values.emplace_back())) return std::nullopt;
  } while (Take(text, ','));
  return text.empty() ? std::optional(std::move(batch)) : std::nullopt;
}

BatchText Parsed(const absl::Cord& bytes) {
  std::optional<BatchText> batch = BatchText::Parse(std::string(bytes));
  NARU_CHECK(batch.has_value());
  return *std::move(batch);
}

std::vector<int64_t> ValuesOf(const absl::Cord& bytes) { return Parsed(bytes).values; }

BatchText MakeBatch(int64_t first, int64_t count, const std::optional<ProducerStamp>& producer) {
  BatchText batch{.values = {}, .producer = producer};
  for (int64_t i = 0; i < count; ++i) batch.values.push_back(first + i);
  return batch;
}

}  // namespace naru::sim
