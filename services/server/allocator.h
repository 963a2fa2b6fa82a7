// The memory allocator of the process: jemalloc where it is linked, else glibc's. Thread-safe.
#pragma once

namespace naru::services {

// At start-up, before threads: settings for many large blocks that live briefly. (jemalloc's stand in
// main.cc, where it looks for them.)
void TuneAllocator();

// Gives pages that hold nothing back to the operating system. Takes up to some milliseconds.
void ReturnFreeMemory();

}  // namespace naru::services
