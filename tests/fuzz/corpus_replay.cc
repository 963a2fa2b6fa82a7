// Runs a fuzz target over its kept corpus, in ordinary builds: argv[1] is the corpus's directory.
#include <gtest/gtest.h>

#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace naru {
namespace {

std::string corpus_directory;

TEST(Corpus, PassesThroughTheFuzzTargetWithoutAFinding) {
  std::vector<std::filesystem::path> files;
  for (const auto& file : std::filesystem::directory_iterator(corpus_directory)) files.push_back(file.path());
  ASSERT_FALSE(files.empty()) << corpus_directory;
  for (const std::filesystem::path& path : files) {
    std::ifstream file(path, std::ios::binary);
    ASSERT_TRUE(file.is_open()) << path;
    const std::string bytes((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
    SCOPED_TRACE(path.string());
    // A finding ends the process, and the last line of output names the file.
    std::fprintf(stderr, "%s\n", path.filename().c_str());
    LLVMFuzzerTestOneInput(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size());
  }
}

}  // namespace
}  // namespace naru

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  if (argc != 2) {
    std::fprintf(stderr, "usage: %s CORPUS_DIRECTORY\n", argv[0]);
    return 2;
  }
  naru::corpus_directory = argv[1];
  return RUN_ALL_TESTS();
}
