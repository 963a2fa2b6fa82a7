#include "tests/cluster/group/transcript_player.h"

#include <algorithm>
#include <charconv>
#include <stdexcept>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "cluster/group/group_text.h"
#include "storage/base/strings.h"

namespace naru::cluster {
namespace {

int64_t Number(std::string_view text) {
  int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) {
    throw std::invalid_argument(absl::StrCat("no number: ", text));
  }
  return number;
}

// The number of "s12", "r3", "epoch=5".
uint64_t Tail(std::string_view word, std::string_view prefix) {
  if (!word.starts_with(prefix)) throw std::invalid_argument(absl::StrCat("not ", prefix, "N: ", word));
  return static_cast<uint64_t>(Number(word.substr(prefix.size())));
}

std::pair<std::string, std::string> SplitAt(const std::string& word, char at) {
  const size_t place = word.find(at);
  if (place == std::string::npos)
    throw std::invalid_argument(absl::StrCat("no ", std::string(1, at), " in ", word));
  return {word.substr(0, place), word.substr(place + 1)};
}

TopicId IdOf(const std::string& name) {
  TopicId id{};
  std::copy_n(name.begin(), std::min(name.size(), id.size()), id.begin());
  return id;
}

}  // namespace

TranscriptPlayer::TranscriptPlayer() : group_(std::make_unique<GroupMachine>(GroupLimits{})) {
  group_->Start(std::make_shared<GroupTopics>(), now_);
}

std::string TranscriptPlayer::Play(std::string_view transcript) {
  std::string played;
  for (const absl::string_view line : absl::StrSplit(Absl(transcript), '\n')) {
    if (line.empty() || line[0] == '#') absl::StrAppend(&played, line, "\n");
    if (line.substr(0, 2) != "> ") continue;
    absl::StrAppend(&played, line, "\n", Run(absl::StrSplit(line.substr(2), ' ', absl::SkipEmpty())));
  }
  // The last line ends with the newline that was split at.
  if (played.ends_with("\n\n")) played.pop_back();
  return played;
}

std::string TranscriptPlayer::Run(const Words& words) {
  const std::string& verb = words.at(0);
  if (verb == "topics") {
    topics_ = Topics(words);
    return Do(ChangeTopics{std::make_shared<GroupTopics>(topics_)});
  }
  if (verb == "join") return Do(Join(words));
  if (verb == "resume") {
    JoinGroup join = Join({words.begin(), words.end() - 1});
    join.resumes_epoch = static_cast<int64_t>(Tail(words.back(), "epoch="));
    return Do(join);
  }
  if (verb == "lose") return Do(LoseSession{Tail(words.at(1), "s")});
  if (verb == "unheard") return Do(LoseSession{.session = Tail(words.at(1), "s"), .unheard = true});
  if (verb == "leave") return Do(Leave(words));
  if (verb == "release") return Do(ReleasePartitions{Tail(words.at(1), "s"), Partitions(words.at(2))});
  if (verb == "commit" && words.at(2) == "-") {
    return Do(CommitOffsets{.request = Tail(words.at(1), "r"), .offsets = Offsets(words, 3)});
  }
  if (verb == "commit") {
    return Do(CommitOffsets{.request = Tail(words.at(1), "r"),
                            .member_id = words.at(2),
                            .member_epoch = static_cast<int64_t>(Tail(words.at(3), "epoch=")),
                            .offsets = Offsets(words, 4)});
  }
  if (verb == "reset") return Do(ResetOffsets{Tail(words.at(1), "r"), Offsets(words, 2)});
  if (verb == "delete") return Do(DeleteGroup{Tail(words.at(1), "r")});
  if (verb == "at") {
    now_.steady_ms = now_.wall_ms = Number(words.at(1));
    return Do(PassTime{});
  }
  if (verb == "restart") {
    group_ = std::make_unique<GroupMachine>(GroupLimits{});
    for (const GroupRecord& record : log_) group_->Replay(record);
    return Write(group_->Start(std::make_shared<GroupTopics>(topics_), now_));
  }
  if (verb == "show") return ToText(*group_, topics_);
  throw std::invalid_argument(absl::StrCat("no such verb: ", verb));
}

std::string TranscriptPlayer::Do(const GroupEvent& event) { return Write(group_->On(event, now_)); }

std::string TranscriptPlayer::Write(const GroupEffects& effects) {
  std::string text;
  for (const GroupEffect& effect : effects) {
    if (const auto* persist = std::get_if<Persist>(&effect)) log_.push_back(persist->record);
    absl::StrAppend(&text, ToText(effect, topics_), "\n");
    if (const auto* revoking = std::get_if<TellRevoking>(&effect))
      absl::StrAppend(&text, Do(RevokingTold{revoking->session, revoking->partitions}));
  }
  return text;
}

GroupTopics TranscriptPlayer::Topics(const Words& words) const {
  GroupTopics topics;
  for (size_t i = 1; i < words.size(); ++i) {
    const auto [name, count] = SplitAt(words[i], '=');
    topics[name] = {IdOf(name), static_cast<int32_t>(Number(count))};
  }
  return topics;
}

JoinGroup TranscriptPlayer::Join(const Words& words) const {
  JoinGroup join{.session = Tail(words.at(1), "s"),
                 .member_id = words.at(2),
                 .session_timeout_ms = 45'000,
                 .rebalance_timeout_ms = 60'000};
  for (size_t i = 3; i < words.size(); ++i) {
    const std::string& word = words[i];
    if (word.starts_with("instance=")) {
      join.instance_id = word.substr(9);
    } else if (word.starts_with("try=")) {
      join.attempt = {.requester = 1, .number = Number(std::string_view(word).substr(4))};
    } else if (word.starts_with("slow=")) {
      join.rebalance_timeout_ms = Number(std::string_view(word).substr(5));
    } else if (word.starts_with("gone=")) {
      join.session_timeout_ms = Number(std::string_view(word).substr(5));
    } else if (word.starts_with("~")) {
      join.subscription.pattern = word.substr(1);
    } else {
      join.subscription.topics.insert(word);
    }
  }
  return join;
}

LeaveGroup TranscriptPlayer::Leave(const Words& words) const {
  if (words.size() == 2) return {.session = Tail(words[1], "s")};
  LeaveGroup leave{.request = Tail(words.at(2), "r")};
  if (words[1].starts_with("instance=")) {
    leave.instance_id = words[1].substr(9);
  } else {
    leave.member_id = words[1];
  }
  return leave;
}

std::set<GroupPartition> TranscriptPlayer::Partitions(const std::string& word) const {
  const auto [name, ranges] = SplitAt(word, '/');
  std::set<GroupPartition> partitions;
  for (const absl::string_view range : absl::StrSplit(ranges, ',')) {
    const std::vector<std::string> ends = absl::StrSplit(range, '-');
    for (int64_t i = Number(ends.front()); i <= Number(ends.back()); ++i) {
      partitions.insert({IdOf(name), static_cast<int32_t>(i)});
    }
  }
  return partitions;
}

CommittedOffsets TranscriptPlayer::Offsets(const Words& words, size_t first) const {
  CommittedOffsets offsets;
  for (size_t i = first; i < words.size(); ++i) {
    const auto [partition, offset] = SplitAt(words[i], '@');
    for (const GroupPartition& each : Partitions(partition)) offsets[each].offset = Number(offset);
  }
  return offsets;
}

}  // namespace naru::cluster
