// A disk's contents in memory, and what a power cut may leave of them. Every write is pending until its file
// is synced, every creation, removal and rename until its directory is; a crash keeps of the pending what it
// likes, at the granularity of sectors. Directories themselves are durable when made. Not thread-safe.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace naru::testing {

// What survives a crash of what was not synced.
struct Survival {
  enum class Mode {
    kNothing,
    kEverything,
    // In the order in which it was done, up to some point, which may be inside a write.
    kPrefix,
    // Sectors and directory entries as chance will have it.
    kAnyPart,
  };
  Mode mode = Mode::kNothing;
  uint32_t seed = 0;
};
std::string ToString(const Survival& survival);

class CrashableDisk {
 public:
  static constexpr uint64_t kSectorBytes = 512;

  // A file, whatever its name. Stays alive while it is open or has a name.
  struct Inode {
    std::string contents;  // as a running process sees it
    std::string durable;   // as it is surely read after a crash
    struct Change {
      uint64_t number = 0;
      bool resize = false;  // to `position`; else a write of `bytes` there
      uint64_t position = 0;
      std::string bytes;
    };
    std::vector<Change> pending;
  };
  using InodePtr = std::shared_ptr<Inode>;

  // nullptr: there is none.
  InodePtr Find(const std::string& path) const;
  InodePtr Create(const std::string& path);
  bool Remove(const std::string& path);
  bool Rename(const std::string& from, const std::string& to);
  void MakeDirectory(const std::string& path);
  bool IsDirectory(const std::string& path) const { return directories_.contains(path); }
  void RemoveTree(const std::string& path);
  // Of files and directories, sorted.
  std::vector<std::string> List(const std::string& directory) const;

  void Write(Inode& inode, uint64_t position, std::string_view bytes);
  void Resize(Inode& inode, uint64_t length);
  void Sync(Inode& inode);
  void SyncDirectory(const std::string& path);

  // The power is gone and back.
  void Crash(const Survival& survival);

  uint64_t used_bytes() const;

 private:
  using Names = std::map<std::string, InodePtr>;
  struct NameChange {
    uint64_t number = 0;
    // Path and what it stands for now, nullptr: nothing. All or none happen.
    std::vector<std::pair<std::string, InodePtr>> entries;
  };

  void ChangeNames(NameChange change);
  static void Apply(std::string& contents, const Inode::Change& change);
  void CrashInode(Inode& inode, const Survival& survival, uint64_t last_number, std::mt19937& random);

  Names names_;          // as a running process sees them
  Names durable_names_;  // as they surely are after a crash
  std::set<std::string> directories_;
  std::vector<NameChange> pending_names_;
  uint64_t last_number_ = 0;
};

std::string DirectoryOf(const std::string& path);

}  // namespace naru::testing
