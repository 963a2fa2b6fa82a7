// Each file of transcripts/ is a scenario that one can read: what happens, and what the group answers. After
// a change of behaviour NARU_REWRITE=1 writes them anew; the difference is then for review.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "tests/cluster/group/transcript_player.h"

namespace naru::cluster {
namespace {

std::vector<std::filesystem::path> Transcripts() {
  std::vector<std::filesystem::path> paths;
  for (const auto& entry : std::filesystem::directory_iterator(NARU_TRANSCRIPTS))
    paths.push_back(entry.path());
  std::sort(paths.begin(), paths.end());
  return paths;
}

class TranscriptTest : public testing::TestWithParam<std::filesystem::path> {};

TEST_P(TranscriptTest, IsWhatTheGroupDoes) {
  std::stringstream written;
  written << std::ifstream(GetParam()).rdbuf();
  const std::string played = TranscriptPlayer().Play(written.str());
  if (std::getenv("NARU_REWRITE") != nullptr) std::ofstream(GetParam()) << played;
  EXPECT_EQ(played, written.str()) << "NARU_REWRITE=1 takes what the group does for right";
}

INSTANTIATE_TEST_SUITE_P(All, TranscriptTest, testing::ValuesIn(Transcripts()),
                         [](const auto& test) { return test.param.stem().string(); });

}  // namespace
}  // namespace naru::cluster
