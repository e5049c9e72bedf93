// As much of Metal's library as naga writes of the kernels, in C++ with Clang's vectors. races.cpp runs and watches it.
#pragma once
#include <cmath>
#include <cstring>

typedef unsigned int uint;
typedef _Float16 half;
#define VECTORS(T)                                    \
  typedef T T##2 __attribute__((ext_vector_type(2))); \
  typedef T T##3 __attribute__((ext_vector_type(3))); \
  typedef T T##4 __attribute__((ext_vector_type(4)));
VECTORS(float) VECTORS(half) VECTORS(int) VECTORS(uint)
typedef int2 bool2; // what comparisons give
typedef int3 bool3;
typedef int4 bool4;

#define device
#define thread
#define threadgroup
#define kernel

// What races.cpp supplies.
extern "C" {
__attribute__((convergent)) void wait_for_workgroup();
__attribute__((convergent)) void exchange(const float* mine, int n, float* all); // all: [lanes][n]
uint subgroup_lanes();
uint subgroup_lane();
uint touch_atomic(const void* word); // notes that it is read, changed and written, and returns it
}

// A vector's size and elements; a scalar's size is 0.
template <class T> struct Shape { static constexpr int n = 0; typedef T E; };
#define SHAPES(T)                                                              \
  template <> struct Shape<T##2> { static constexpr int n = 2; typedef T E; }; \
  template <> struct Shape<T##3> { static constexpr int n = 3; typedef T E; }; \
  template <> struct Shape<T##4> { static constexpr int n = 4; typedef T E; };
SHAPES(float) SHAPES(half) SHAPES(int) SHAPES(uint)
template <class T> using Element = typename Shape<T>::E;

template <class R, class A> inline void append(R& r, int& i, A a) {
  if constexpr (Shape<A>::n == 0) r[i++] = (Element<R>)a;
  else for (int j = 0; j < Shape<A>::n; j++) r[i++] = (Element<R>)a[j];
}

// Metal's float4(a, b, …), a form that C++ does not have.
template <class R, class... A> inline R make(A... a) {
  R r;
  int i = 0;
  if constexpr (sizeof...(A) == 1 && ((Shape<A>::n == 0) && ...)) for (; i < Shape<R>::n; i++) r[i] = (Element<R>)(a + ...);
  else (append(r, i, a), ...);
  return r;
}

template <class T, class A> inline T alike(A a) {
  if constexpr (Shape<T>::n != 0 && Shape<A>::n == 0) return make<T>(a);
  else return (T)a;
}

template <class R, class A> inline R as_type(A a) {
  return __builtin_bit_cast(R, a);
}

// Does to each element what f does to scalars.
template <class F, class T, class... A> inline T each(F f, T a, A... more) {
  if constexpr (Shape<T>::n == 0) return (T)f(a, more...);
  else {
    T r;
    for (int i = 0; i < Shape<T>::n; i++) r[i] = (Element<T>)f(a[i], more[i]...);
    return r;
  }
}

namespace metal {
using ::uint, ::half, ::float2, ::float3, ::float4, ::half2, ::half3, ::half4;
using ::int2, ::int3, ::int4, ::uint2, ::uint3, ::uint4, ::bool2, ::bool3, ::bool4;

#define UNARY(name, value) \
  template <class T> inline T name(T a) { return each([](auto x) { return value; }, a); }
UNARY(exp, expf(x)) UNARY(log, logf(x)) UNARY(rsqrt, 1.0f / sqrtf(x))
UNARY(floor, floorf(x)) UNARY(ceil, ceilf(x)) UNARY(trunc, truncf(x)) UNARY(rint, rintf(x)) UNARY(abs, x < 0 ? -x : x)

template <class T, class A> inline T min(T a, A b) {
  return each([](auto x, auto y) { return y < x ? y : x; }, a, alike<T>(b));
}
template <class T, class A> inline T max(T a, A b) {
  return each([](auto x, auto y) { return x < y ? y : x; }, a, alike<T>(b));
}
template <class T, class A, class B> inline T clamp(T x, A low, B high) {
  return min(max(x, low), high);
}
template <class T> inline T fma(T a, T b, T c) {
  return each([](auto x, auto y, auto z) { return fmaf(x, y, z); }, a, b, c);
}
template <class T, class A, class C> inline T select(T otherwise, A value, C chosen) {
  if constexpr (Shape<C>::n == 0) return chosen ? alike<T>(value) : otherwise;
  else return each([](auto x, auto y, auto z) { return z ? y : x; }, otherwise, alike<T>(value), chosen);
}
template <class T> inline bool all(T v) {
  for (int i = 0; i < Shape<T>::n; i++) if (!v[i]) return false;
  return true;
}
template <class T> inline bool any(T v) {
  for (int i = 0; i < Shape<T>::n; i++) if (v[i]) return true;
  return false;
}
template <class T> inline float dot(T a, T b) {
  float sum = 0;
  for (int i = 0; i < Shape<T>::n; i++) sum += a[i] * b[i];
  return sum;
}
inline uint clz(uint x) { return x ? __builtin_clz(x) : 32; }
inline uint ctz(uint x) { return x ? __builtin_ctz(x) : 32; }
inline uint popcount(uint x) { return __builtin_popcount(x); }

struct float4x4 {
  float4 column[4];
  float4x4() = default;
  float4x4(float4 a, float4 b, float4 c, float4 d) : column{a, b, c, d} {}
  float4& operator[](int i) { return column[i]; }
  const float4& operator[](int i) const { return column[i]; }
};
inline float4x4 transpose(float4x4 m) {
  float4x4 r;
  for (int i = 0; i < 4; i++) for (int j = 0; j < 4; j++) r[i][j] = m[j][i];
  return r;
}

// Atomics. Threads are not preempted, so these are atomic as they stand.
enum memory_order { memory_order_relaxed };
struct atomic_uint { uint v; };
struct atomic_int { int v; };
template <class P> inline auto atomic_load_explicit(const P* p, int) { return __atomic_load_n(&p->v, __ATOMIC_RELAXED); }
template <class P, class V> inline void atomic_store_explicit(P* p, V v, int) {
  __atomic_store_n(&p->v, (decltype(p->v))v, __ATOMIC_RELAXED);
}
#define CHANGE(name, value)                                  \
  template <class P, class V> inline auto name(P* p, V v_, int) { \
    decltype(p->v) v = v_, was = touch_atomic(&p->v);        \
    write_unseen(&p->v, value);                              \
    return was;                                              \
  }
template <class T> __attribute__((no_sanitize("thread"), noinline)) void write_unseen(T* p, T v) { *p = v; }
CHANGE(atomic_fetch_add_explicit, was + v)
CHANGE(atomic_fetch_max_explicit, was < v ? v : was)
CHANGE(atomic_fetch_min_explicit, v < was ? v : was)
CHANGE(atomic_fetch_or_explicit, was | v)

struct mem_flags { enum { mem_threadgroup, mem_device }; };
__attribute__((always_inline)) inline void threadgroup_barrier(int) { wait_for_workgroup(); }

// What the lanes have, as f makes one of it, lane by lane.
template <class T, class F> inline T join_lanes(T v, F f) {
  constexpr int n = Shape<T>::n == 0 ? 1 : Shape<T>::n;
  float all[128 * n], r[n];
  exchange((const float*)&v, n, all);
  for (int i = 0; i < n; i++) {
    r[i] = all[i];
    for (uint lane = 1; lane < subgroup_lanes(); lane++) r[i] = f(r[i], all[lane * n + i]);
  }
  memcpy(&v, r, sizeof r);
  return v;
}
template <class T> inline T simd_sum(T v) { return join_lanes(v, [](float a, float b) { return a + b; }); }
template <class T> inline T simd_max(T v) { return join_lanes(v, [](float a, float b) { return fmaxf(a, b); }); }
template <class T> inline T take_from(uint lane, T v) {
  constexpr int n = Shape<T>::n == 0 ? 1 : Shape<T>::n;
  float all[128 * n];
  exchange((const float*)&v, n, all);
  memcpy(&v, all + lane * n, n * sizeof(float));
  return v;
}
template <class T> inline T simd_shuffle_xor(T v, uint mask) { return take_from(subgroup_lane() ^ mask, v); }
template <class T> inline T simd_broadcast(T v, uint lane) { return take_from(lane, v); }
} // namespace metal
