// Proves that the memory sanitizers report what they are for: memory_probe leak|overflow|undefined.
#include <climits>
#include <cstdio>
#include <cstring>
#include <string_view>

namespace {

// Volatile, so that the compiler neither sees the mistakes nor keeps a pointer to what is to be lost.
volatile int one = 1;
char* volatile kept = nullptr;

void Leak() {
  kept = new char[100];
  std::memset(kept, 1, 100);
  kept = nullptr;
}

int Overflow() {
  kept = new char[100];
  const int past = kept[99 + one];
  delete[] kept;
  return past;
}

int Undefined() { return INT_MAX + one; }

}  // namespace

int main(int argc, char** argv) {
  const std::string_view mode = argc > 1 ? argv[1] : "";
  if (mode == "leak") {
    Leak();
  } else if (mode == "overflow") {
    std::printf("%d\n", Overflow());
  } else if (mode == "undefined") {
    std::printf("%d\n", Undefined());
  } else {
    std::fprintf(stderr, "memory_probe takes leak, overflow or undefined, not \"%s\"\n",
                 argc > 1 ? argv[1] : "");
    return 2;
  }
  return 0;
}
