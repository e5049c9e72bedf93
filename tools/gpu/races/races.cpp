// Runs recorded dispatches on the CPU, thread by thread, and watches what they read and write:
//
//   races RUN LANES [WORKGROUPS]
//
// Reported are accesses to one word by two threads, one of them a write, that no barrier lies between (of two
// workgroups none ever does), with atomics where the order of the two matters; accesses out of bounds; barriers and
// subgroup operations that not all threads reach at the same place.
//
// A kernel is a library that races.py makes of WGSL through Metal's language. Clang's -fsanitize=thread puts a call in
// front of every access, and this file answers the calls in place of the sanitizer's own runtime, which knows neither
// workgroups nor bounds. A word is remembered with its last write and its last reads, so that each racing word is found,
// but not each pair.
//
// With WORKGROUPS, what so many workgroups of each dispatch ask of memory is counted instead (traffic.h).
#include <dlfcn.h>
#include <sys/mman.h>
#include <ucontext.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "traffic.h"

using std::string, std::vector;
typedef const void* Place; // in a kernel's code

namespace {

const int MAX_THREADS = 1024;
const size_t STACK = 256 << 10; // bytes of a thread's
const size_t GAP = 2 << 20;     // bytes behind a buffer in which an access is known to have missed it

struct Access {
  bool known = false;
  bool of_several_threads = false;    // of this workgroup and phase
  bool of_several_workgroups = false;
  uint32_t workgroup = 0, phase = 0, thread = 0;
  bool is_change = false; // read, changed and written, atomically
};

struct Word {
  Access write, read;
};

// A buffer, or a variable of the workgroup.
struct Region {
  string name;
  char* data;
  size_t bytes;
  bool is_shared;
  vector<Word> words;

  Region(string name, char* data, size_t bytes, bool is_shared)
    : name(name), data(data), bytes(bytes), is_shared(is_shared), words((bytes + 3) / 4) {}
};

// Threads take turns: each runs until it waits or ends.
enum class State { ready, at_barrier, in_subgroup, done };
struct Thread {
  ucontext_t context;
  State state;
  Place place; // where it waits
  float given[4];
};

vector<Region*> regions;
Thread threads[MAX_THREADS];
ucontext_t scheduler;
char* stacks;
int thread_count, lanes;
int current = -1; // the thread that runs
uint32_t workgroup, phase;
string kernel;
int found = 0;
uint32_t counted = 0; // workgroups whose traffic is counted; if none is, races are looked for
Traffic traffic;

// Function, file and line, with what is inlined there.
string line_of(Place place) {
  static std::map<Place, string> known;
  if (known.count(place)) return known[place];
  Dl_info info;
  string text = "?";
  if (dladdr(place, &info) && info.dli_fname) {
    char command[1000], line[4000] = "";
    snprintf(command, sizeof command, "addr2line -ise %s 0x%zx | tr '\\n' ' '", info.dli_fname,
             (size_t)((char*)place - (char*)info.dli_fbase - 1));
    FILE* pipe = popen(command, "r");
    if (pipe && fgets(line, sizeof line, pipe)) text = line;
    if (pipe) pclose(pipe);
  }
  return known[place] = text;
}

// Each thing once, in each place.
void report(const string& what, const string& name, Place place, const string& more) {
  static std::set<std::pair<string, Place>> reported;
  if (!reported.insert({what + name, place}).second) return;
  printf("%s: %s of %s at %s: %s\n", kernel.c_str(), what.c_str(), name.c_str(), line_of(place).c_str(), more.c_str());
  found++;
}

[[noreturn]] void fail(const string& what) {
  printf("%s: %s\n", kernel.c_str(), what.c_str());
  exit(1);
}

string pair_text(size_t word, const Access& before) {
  return "word " + std::to_string(word) + ", thread " + std::to_string(current) + " of workgroup " +
    std::to_string(workgroup) + " after thread " + std::to_string(before.thread) + " of workgroup " +
    std::to_string(before.workgroup);
}

bool is_apart(const Access& before) { // a barrier lies between
  return before.workgroup == workgroup && before.phase != phase;
}

bool is_own(const Access& before) {
  return before.workgroup == workgroup && before.thread == (uint32_t)current && !before.of_several_threads;
}

void note_word(Region& region, size_t i, bool is_write, bool is_change, Place place) {
  Word& word = region.words[i];
  const bool commutes = is_change && word.write.is_change;
  if (word.write.known && !commutes && !is_apart(word.write) && !is_own(word.write)) {
    report(is_write ? "write after write" : "read after write", region.name, place, pair_text(i, word.write));
  }
  Access& read = word.read;
  if (is_write) {
    if (read.known && (read.of_several_workgroups || (!is_apart(read) && !is_own(read)))) {
      report("write after read", region.name, place, pair_text(i, read));
    }
    // Changes of several threads do not race with each other, but with what one of them reads next.
    const bool is_several = commutes && !is_apart(word.write) && !is_own(word.write);
    word.write = {true, is_several, false, workgroup, phase, (uint32_t)current, is_change};
    return;
  }
  const bool is_same_phase = read.known && read.workgroup == workgroup && read.phase == phase;
  read.of_several_workgroups |= read.known && read.workgroup != workgroup;
  read.of_several_threads = is_same_phase && (read.of_several_threads || read.thread != (uint32_t)current);
  read.known = true;
  read.workgroup = workgroup;
  read.phase = phase;
  read.thread = current;
}

void note_unguarded(char* p, size_t bytes, bool is_write, bool is_change, Place place) {
  for (Region* region : regions) {
    if (p < region->data || p >= region->data + region->bytes + GAP / 2) continue;
    size_t at = p - region->data;
    if (at + bytes > region->bytes) {
      report(is_write ? "write out of bounds" : "read out of bounds", region->name, place,
             "byte " + std::to_string(at) + " of " + std::to_string(region->bytes));
      if (is_write) fail("cannot go on");
      return;
    }
    if (counted) traffic.note(place, current, current / lanes, region->name, region->is_shared, is_write, at, bytes);
    else for (size_t i = at / 4; i <= (at + bytes - 1) / 4; i++) note_word(*region, i, is_write, is_change, place);
    return;
  }
  Dl_info info;
  if (!dladdr(p, &info)) fail("an access far out of bounds, at " + line_of(place)); // otherwise a constant
}

void note(const void* address, size_t bytes, bool is_write, bool is_change, Place place) {
  static bool is_busy = false; // what follows copies memory itself
  char* p = (char*)address;
  if (current < 0 || is_busy || (p >= stacks && p < stacks + STACK * MAX_THREADS)) return;
  is_busy = true;
  note_unguarded(p, bytes, is_write, is_change, place);
  is_busy = false;
}

void copy(void* to, const void* from, size_t bytes) {
  for (size_t i = 0; i < bytes; i++) ((char*)to)[i] = ((const char*)from)[i];
}

void wait(State state, Place place) {
  Thread& thread = threads[current];
  thread.state = state;
  thread.place = place;
  current = -1;
  swapcontext(&thread.context, &scheduler);
}

// Compilers copy calls, so that one line may be several places.
void check_together(int a, int b, const char* what) {
  Place p = threads[a].place, q = threads[b].place;
  if (p != q && line_of(p) != line_of(q)) {
    fail(string(what) + " reached by thread " + std::to_string(a) + " at " + line_of(p) + "and by thread " +
         std::to_string(b) + " at " + line_of(q));
  }
}

void (*entry)(void** buffers, void** variables, const uint32_t* grid, uint32_t index);
void** buffers;
void** variables;
uint32_t* grid; // workgroup's x, y, z; workgroups in x, y, z

void run_thread(int index) {
  entry(buffers, variables, grid, index);
  threads[index].state = State::done;
  current = -1;
  swapcontext(&threads[index].context, &scheduler);
}

bool run_ready() {
  bool any = false;
  for (int k = 0; k < thread_count; k++) {
    int i = workgroup % 2 ? thread_count - 1 - k : k; // in either order
    if (threads[i].state != State::ready) continue;
    any = true;
    current = i;
    swapcontext(&scheduler, &threads[i].context);
    current = -1;
  }
  return any;
}

bool release_subgroups() {
  bool any = false;
  for (int first = 0; first < thread_count; first += lanes) {
    int end = std::min(first + lanes, thread_count);
    bool all = true;
    for (int i = first; i < end; i++) all &= threads[i].state == State::in_subgroup;
    if (!all) continue;
    any = true;
    for (int i = first; i < end; i++) {
      check_together(first, i, "a subgroup operation");
      threads[i].state = State::ready;
    }
  }
  return any;
}

void run_workgroup() {
  phase = 0;
  for (int i = 0; i < thread_count; i++) {
    ucontext_t& context = threads[i].context;
    getcontext(&context);
    context.uc_stack.ss_sp = stacks + i * STACK;
    context.uc_stack.ss_size = STACK;
    makecontext(&context, (void (*)())run_thread, 1, i);
    threads[i].state = State::ready;
  }
  for (;;) {
    if (run_ready() || release_subgroups()) continue;
    int done = 0, waiting = 0;
    for (int i = 0; i < thread_count; i++) {
      done += threads[i].state == State::done;
      waiting += threads[i].state == State::at_barrier;
    }
    if (waiting + done == thread_count) traffic.add_up();
    if (done == thread_count) return;
    if (waiting < thread_count) {
      fail("threads wait for each other: " + std::to_string(done) + " have ended, " + std::to_string(waiting) +
           " of " + std::to_string(thread_count) + " are at a barrier");
    }
    for (int i = 0; i < thread_count; i++) {
      check_together(0, i, "a barrier");
      threads[i].state = State::ready;
    }
    phase++;
  }
}

char* memory(size_t bytes) {
  void* p = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (p == MAP_FAILED) fail("no memory");
  return (char*)p;
}

} // namespace

#define CALLED __builtin_return_address(0)

// What kernels call (metal.h).
extern "C" {
void wait_for_workgroup() { wait(State::at_barrier, CALLED); }
uint32_t subgroup_lanes() { return lanes; }
uint32_t subgroup_lane() { return current % lanes; }
void exchange(const float* mine, int n, float* all) {
  Place place = CALLED;
  int first = current / lanes * lanes;
  copy(threads[current].given, mine, n * sizeof(float));
  wait(State::in_subgroup, place);
  for (int i = 0; i < lanes; i++) copy(all + i * n, threads[first + i].given, n * sizeof(float));
  wait(State::in_subgroup, place); // nobody gives anew before all have taken
}
uint32_t touch_atomic(const void* word) {
  note(word, 4, true, true, CALLED);
  return *(const uint32_t*)word;
}

// What the sanitizer's instrumentation calls.
void __tsan_init() {}
#define ACCESSES(n)                                                                   \
  void __tsan_read##n(void* p) { note(p, n, false, false, CALLED); }                  \
  void __tsan_write##n(void* p) { note(p, n, true, false, CALLED); }                  \
  void __tsan_unaligned_read##n(void* p) { note(p, n, false, false, CALLED); }        \
  void __tsan_unaligned_write##n(void* p) { note(p, n, true, false, CALLED); }
ACCESSES(1) ACCESSES(2) ACCESSES(4) ACCESSES(8) ACCESSES(16)
uint32_t __tsan_atomic32_load(uint32_t* p, int) {
  note(p, 4, false, false, CALLED);
  return *p;
}
void __tsan_atomic32_store(uint32_t* p, uint32_t v, int) {
  note(p, 4, true, false, CALLED);
  *p = v;
}
void* memcpy(void* to, const void* from, size_t bytes) {
  note(from, bytes, false, false, CALLED);
  note(to, bytes, true, false, CALLED);
  copy(to, from, bytes);
  return to;
}
void* memset(void* to, int value, size_t bytes) {
  note(to, bytes, true, false, CALLED);
  for (size_t i = 0; i < bytes; i++) ((char*)to)[i] = value;
  return to;
}
}

int main(int argc, char** argv) {
  if (argc < 3 || argc > 4) fail("Usage: races RUN LANES [WORKGROUPS]");
  const string run = argv[1];
  lanes = atoi(argv[2]);
  if (argc == 4) counted = atoi(argv[3]);
  stacks = memory(STACK * MAX_THREADS);
  std::ifstream text(run + "/run.txt"), before(run + "/before.bin"), after(run + "/after.bin");

  // Buffers: how many; of each its bytes, and whether after.bin has what the device left there.
  size_t count;
  if (!(text >> count)) fail("no run: " + run);
  vector<size_t> sizes(count);
  vector<int> is_output(count);
  vector<char*> data(count);
  for (size_t i = 0; i < count; i++) {
    text >> sizes[i] >> is_output[i];
    data[i] = memory(sizes[i] + GAP);
    before.read(data[i], sizes[i]);
  }

  // Dispatches: how many; of each its kernel, workgroups, and buffers by binding.
  size_t jobs;
  text >> jobs;
  for (size_t job = 0; job < jobs; job++) {
    string library;
    uint32_t size[3];
    size_t bound;
    text >> library >> size[0] >> size[1] >> size[2] >> bound;
    void* handle = dlopen(library.c_str(), RTLD_NOW);
    if (!handle) fail(dlerror());
    kernel = library.substr(library.rfind('/') + 1);
    auto names = (const char**)dlsym(handle, "binding_names");
    auto variable_names = (const char**)dlsym(handle, "variable_names");
    auto variable_bytes = (size_t*)dlsym(handle, "variable_bytes");
    const int variable_count = *(int*)dlsym(handle, "variable_count");
    thread_count = *(int*)dlsym(handle, "thread_count");
    entry = (decltype(entry))dlsym(handle, "entry");

    // The arguments lie where accesses are not watched.
    char* arguments = stacks + STACK * (MAX_THREADS - 1);
    buffers = (void**)arguments;
    variables = (void**)(arguments + 1024);
    grid = (uint32_t*)(arguments + 2048);
    for (Region* region : regions) delete region;
    regions.clear();
    std::set<size_t> seen;
    for (size_t i = 0; i < bound; i++) {
      size_t index;
      text >> index;
      buffers[i] = data[index];
      if (seen.insert(index).second) regions.push_back(new Region(names[i], data[index], sizes[index], false));
    }
    vector<Region*> shared;
    for (int i = 0; i < variable_count; i++) {
      variables[i] = memory(variable_bytes[i] + GAP);
      shared.push_back(new Region(variable_names[i], (char*)variables[i], variable_bytes[i], true));
      regions.push_back(shared.back());
    }
    std::copy(size, size + 3, grid + 3);
    workgroup = 0;
    for (grid[2] = 0; grid[2] < size[2]; grid[2]++) {
      for (grid[1] = 0; grid[1] < size[1]; grid[1]++) {
        for (grid[0] = 0; grid[0] < size[0]; grid[0]++, workgroup++) {
          if (counted && workgroup >= counted) continue;
          for (Region* region : shared) region->words.assign(region->words.size(), {});
          run_workgroup();
        }
      }
    }
    for (int i = 0; i < variable_count; i++) munmap(variables[i], variable_bytes[i] + GAP);
  }

  if (counted) {
    traffic.print(line_of);
    return 0;
  }
  // To show that the kernels did run: results are the device's, but for the order of sums. (Words of two f16 are compared
  // as if they were f32.)
  size_t words = 0, others = 0;
  for (size_t i = 0; i < count; i++) {
    if (!is_output[i]) continue;
    vector<float> theirs(sizes[i] / 4);
    after.read((char*)theirs.data(), sizes[i]);
    for (size_t k = 0; k < theirs.size(); k++, words++) {
      float ours = ((float*)data[i])[k];
      bool is_equal = !memcmp(&ours, &theirs[k], 4);
      others += !is_equal && !(fabsf(ours - theirs[k]) <= 4e-3f * (fabsf(theirs[k]) + 1));
    }
  }
  printf("%s: %zu dispatches, %d reports; %zu of %zu words are others than the device's\n", run.c_str(), jobs, found,
         others, words);
  return found > 0;
}
