#include "tests/storage/faults/crashable_disk.h"

#include <algorithm>

#include "absl/strings/str_cat.h"

namespace naru::testing {
namespace {

bool IsBelow(std::string_view path, const std::string& directory) {
  return path.size() > directory.size() && path.substr(0, directory.size()) == directory &&
         path[directory.size()] == '/';
}

}  // namespace

std::string ToString(const Survival& survival) {
  static constexpr const char* kNames[] = {"nothing", "everything", "prefix", "any part"};
  return absl::StrCat(kNames[static_cast<int>(survival.mode)], " survives, seed ", survival.seed);
}

std::string DirectoryOf(const std::string& path) {
  const size_t slash = path.rfind('/');
  return slash == std::string::npos ? "." : path.substr(0, slash);
}

CrashableDisk::InodePtr CrashableDisk::Find(const std::string& path) const {
  const auto at = names_.find(path);
  return at == names_.end() ? nullptr : at->second;
}

void CrashableDisk::ChangeNames(NameChange change) {
  change.number = ++last_number_;
  for (const auto& [path, inode] : change.entries) {
    if (inode == nullptr) {
      names_.erase(path);
    } else {
      names_[path] = inode;
    }
  }
  pending_names_.push_back(std::move(change));
}

CrashableDisk::InodePtr CrashableDisk::Create(const std::string& path) {
  InodePtr inode = std::make_shared<Inode>();
  ChangeNames({0, {{path, inode}}});
  return inode;
}

bool CrashableDisk::Remove(const std::string& path) {
  if (!names_.contains(path)) return false;
  ChangeNames({0, {{path, nullptr}}});
  return true;
}

bool CrashableDisk::Rename(const std::string& from, const std::string& to) {
  const InodePtr inode = Find(from);
  if (inode == nullptr) return false;
  ChangeNames({0, {{from, nullptr}, {to, inode}}});
  return true;
}

void CrashableDisk::MakeDirectory(const std::string& path) {
  for (size_t slash = path.find('/', 1); slash != std::string::npos; slash = path.find('/', slash + 1)) {
    directories_.insert(path.substr(0, slash));
  }
  directories_.insert(path);
}

void CrashableDisk::RemoveTree(const std::string& path) {
  std::vector<std::string> doomed;
  for (const auto& [name, inode] : names_) {
    if (name == path || IsBelow(name, path)) doomed.push_back(name);
  }
  for (const std::string& name : doomed) Remove(name);
  std::erase_if(directories_, [&](const std::string& name) { return name == path || IsBelow(name, path); });
}

std::vector<std::string> CrashableDisk::List(const std::string& directory) const {
  std::set<std::string> found;
  const auto add = [&](const std::string& path) {
    if (DirectoryOf(path) == directory) found.insert(path.substr(directory.size() + 1));
  };
  for (const auto& [path, inode] : names_) add(path);
  for (const std::string& path : directories_) add(path);
  return {found.begin(), found.end()};
}

void CrashableDisk::Apply(std::string& contents, const Inode::Change& change) {
  if (change.resize) {
    contents.resize(change.position, '\0');
    return;
  }
  const size_t end = change.position + change.bytes.size();
  if (contents.size() < end) contents.resize(end, '\0');
  std::copy(change.bytes.begin(), change.bytes.end(),
            contents.begin() + static_cast<std::ptrdiff_t>(change.position));
}

void CrashableDisk::Write(Inode& inode, uint64_t position, std::string_view bytes) {
  inode.pending.push_back({++last_number_, false, position, std::string(bytes)});
  Apply(inode.contents, inode.pending.back());
}

void CrashableDisk::Resize(Inode& inode, uint64_t length) {
  inode.pending.push_back({++last_number_, true, length, {}});
  Apply(inode.contents, inode.pending.back());
}

void CrashableDisk::Sync(Inode& inode) {
  for (const Inode::Change& change : inode.pending) Apply(inode.durable, change);
  inode.pending.clear();
}

void CrashableDisk::SyncDirectory(const std::string& path) {
  std::vector<NameChange> kept;
  for (NameChange& change : pending_names_) {
    const bool here = std::any_of(change.entries.begin(), change.entries.end(),
                                  [&](const auto& entry) { return DirectoryOf(entry.first) == path; });
    if (!here) {
      kept.push_back(std::move(change));
      continue;
    }
    for (auto& [name, inode] : change.entries) durable_names_[name] = inode;
  }
  pending_names_ = std::move(kept);
  std::erase_if(durable_names_, [](const auto& entry) { return entry.second == nullptr; });
}

void CrashableDisk::CrashInode(Inode& inode, const Survival& survival, uint64_t last_number,
                               std::mt19937& random) {
  const uint32_t odds = 1 + random() % 9;  // of ten
  for (const Inode::Change& change : inode.pending) {
    if (survival.mode != Survival::Mode::kAnyPart && change.number > last_number) break;
    if (change.resize) {
      if (survival.mode != Survival::Mode::kAnyPart || random() % 10 < odds) Apply(inode.durable, change);
      continue;
    }
    const bool last = survival.mode == Survival::Mode::kPrefix && change.number == last_number;
    const uint64_t sectors = change.bytes.size() / kSectorBytes + 2;
    const uint64_t torn_after = last ? random() % sectors : sectors;
    uint64_t sector = 0;
    for (size_t at = 0; at < change.bytes.size(); ++sector) {
      const uint64_t position = change.position + at;
      const size_t n = std::min<uint64_t>(kSectorBytes - position % kSectorBytes, change.bytes.size() - at);
      const bool kept =
          survival.mode == Survival::Mode::kAnyPart ? random() % 10 < odds : sector < torn_after;
      if (kept) Apply(inode.durable, {0, false, position, change.bytes.substr(at, n)});
      at += n;
    }
  }
  inode.pending.clear();
  inode.contents = inode.durable;
}

void CrashableDisk::Crash(const Survival& survival) {
  std::mt19937 random(survival.seed);
  uint64_t last_number = 0;  // survives as the last, in the modes that keep an order
  if (survival.mode == Survival::Mode::kEverything) last_number = last_number_;
  if (survival.mode == Survival::Mode::kPrefix) {
    uint64_t first = last_number_;
    for (const NameChange& change : pending_names_) first = std::min(first, change.number);
    for (const auto& [path, inode] : names_) {
      if (!inode->pending.empty()) first = std::min(first, inode->pending.front().number);
    }
    last_number = first + random() % (last_number_ - first + 1);
  }
  for (NameChange& change : pending_names_) {
    const bool kept =
        survival.mode == Survival::Mode::kAnyPart ? random() % 2 == 0 : change.number <= last_number;
    if (!kept) continue;
    for (auto& [name, inode] : change.entries) durable_names_[name] = inode;
  }
  pending_names_.clear();
  std::erase_if(durable_names_, [](const auto& entry) { return entry.second == nullptr; });
  names_ = durable_names_;
  for (const auto& [path, inode] : names_) CrashInode(*inode, survival, last_number, random);
}

uint64_t CrashableDisk::used_bytes() const {
  uint64_t bytes = 0;
  for (const auto& [path, inode] : names_) bytes += inode->contents.size();
  return bytes;
}

}  // namespace naru::testing
