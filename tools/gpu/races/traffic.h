// What threads that go in step ask of memory, counted: the threads of a subgroup at the same place of the code, each for
// as many times since the last barrier, ask together.
//
// Of workgroup memory the cycles are counted that NVIDIA's GPUs from Volta on take (their developers, in
// forums.developer.nvidia.com/t/77228): 32 banks of 4 bytes, of each of which a cycle gives one word; 128 bytes a
// cycle, so that 32 threads get 8 bytes in two halves and 16 in four quarters, or in half as many where thread
// i reads what thread i ^ 1 reads, for all i, or what i ^ 2 reads. Of buffers, the sectors of 32 bytes.
#pragma once
#include <algorithm>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

class Traffic {
public:
  // An access of a thread to a region of memory, at a byte.
  void note(const void* place, int thread, int subgroup, const std::string& region, bool is_shared, bool is_write, size_t at,
            size_t bytes) {
    const uint32_t time = times[{place, thread}]++;
    Together& together = asked[{place, subgroup, time}];
    together.region = region;
    together.is_shared = is_shared;
    together.is_write = is_write;
    together.accesses.push_back({thread, at, bytes});
  }

  // Threads have met.
  void add_up() {
    for (auto& [key, together] : asked) {
      Total& total = totals[{std::get<0>(key), together.region}];
      total.is_shared = together.is_shared;
      total.is_write = together.is_write;
      total.bytes = together.accesses[0].bytes;
      total.times++;
      if (together.is_shared) add_cycles(together, total);
      else add_sectors(together, total);
    }
    asked.clear();
    times.clear();
  }

  // A line for each place and region: whether it is workgroup memory, whether it is written, bytes of an access, how often
  // threads asked, cycles or sectors, the fewest there can be, the region, the place.
  template <class LineOf> void print(LineOf line_of) const {
    for (auto& [key, t] : totals) {
      printf("traffic %d %d %zu %zu %zu %zu %s %s\n", t.is_shared, t.is_write, t.bytes, t.times, t.cost, t.least,
             key.second.c_str(), line_of(key.first).c_str());
    }
  }

private:
  struct Access {
    int thread;
    size_t at, bytes;
  };
  struct Together {
    std::string region;
    bool is_shared, is_write;
    std::vector<Access> accesses;
  };
  struct Total {
    bool is_shared, is_write;
    size_t bytes, times = 0, cost = 0, least = 0;
  };
  std::map<std::pair<const void*, int>, uint32_t> times;                // that a thread was at a place
  std::map<std::tuple<const void*, int, uint32_t>, Together> asked;
  std::map<std::pair<const void*, std::string>, Total> totals;

  static bool in_pairs(const Together& together, int distance) {
    std::map<int, size_t> at;
    for (auto& access : together.accesses) at[access.thread] = access.at;
    return std::all_of(at.begin(), at.end(), [&](auto& one) {
      auto other = at.find(one.first ^ distance);
      return other == at.end() || other->second == one.second;
    });
  }

  static void add_cycles(Together& together, Total& total) {
    auto& accesses = together.accesses;
    std::sort(accesses.begin(), accesses.end(), [](auto& a, auto& b) { return a.thread < b.thread; });
    int served = std::max<int>(1, 128 / std::max<size_t>(4, accesses[0].bytes)); // threads at once
    if (!together.is_write && served < 32 && (in_pairs(together, 1) || in_pairs(together, 2))) served *= 2;
    for (size_t first = 0; first < accesses.size();) {
      const int group = accesses[first].thread / served;
      std::map<size_t, std::set<size_t>> words; // of each bank
      size_t most = 1;
      for (; first < accesses.size() && accesses[first].thread / served == group; first++) {
        auto& [thread, at, bytes] = accesses[first];
        for (size_t word = at / 4; word <= (at + bytes - 1) / 4; word++) {
          words[word % 32].insert(word);
          most = std::max(most, words[word % 32].size());
        }
      }
      total.cost += most;
      total.least++;
    }
  }

  static void add_sectors(const Together& together, Total& total) {
    std::set<size_t> sectors, words;
    for (auto& [thread, at, bytes] : together.accesses) {
      for (size_t word = at / 4; word <= (at + bytes - 1) / 4; word++) {
        words.insert(word);
        sectors.insert(word / 8);
      }
    }
    total.cost += sectors.size();
    total.least += (words.size() + 7) / 8;
  }
};
