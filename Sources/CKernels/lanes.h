// Sixteen virtual lanes, included by every level: the compiler maps them to one, two or four registers, which cannot change a bit,
// because each lane is IEEE arithmetic with explicit fused multiply-adds.

#pragma STDC FP_CONTRACT OFF
#pragma clang diagnostic ignored "-Wpsabi"

typedef float v16 __attribute__((ext_vector_type(16)));
typedef float v16_unaligned __attribute__((ext_vector_type(16), aligned(4), may_alias));
typedef int32_t i16 __attribute__((ext_vector_type(16)));
typedef uint32_t u16 __attribute__((ext_vector_type(16)));
typedef float v8 __attribute__((ext_vector_type(8)));
typedef float v8_unaligned __attribute__((ext_vector_type(8), aligned(4), may_alias));
typedef int8_t b16 __attribute__((ext_vector_type(16)));
typedef int8_t b16_unaligned __attribute__((ext_vector_type(16), aligned(1), may_alias));

typedef uint16_t h16 __attribute__((ext_vector_type(16)));
typedef uint16_t h16_unaligned __attribute__((ext_vector_type(16), aligned(1), may_alias));

#define UNROLL _Pragma("clang loop unroll(full)")

RETORT_INLINE v16 load(const float *p) { return *(const v16_unaligned *)p; }
RETORT_INLINE void store(float *p, v16 x) { *(v16_unaligned *)p = x; }
RETORT_INLINE v16 splat(float x) { return (v16)x; }
RETORT_INLINE v16 fma16(v16 a, v16 b, v16 c) { return __builtin_elementwise_fma(a, b, c); }
RETORT_INLINE float fma1(float a, float b, float c) { return __builtin_elementwise_fma(a, b, c); }

/// The first n (1…15) of 16 lanes, the others `fill`.
RETORT_INLINE v16 load_some(const float *p, ptrdiff_t n, float fill) {
  float t[16];
  for (int i = 0; i < 16; i++) t[i] = fill;
  for (ptrdiff_t i = 0; i < n; i++) t[i] = p[i];
  return load(t);
}

RETORT_INLINE void store_some(float *p, v16 x, ptrdiff_t n) {
  float t[16];
  store(t, x);
  for (ptrdiff_t i = 0; i < n; i++) p[i] = t[i];
}

RETORT_INLINE v16 load_part(const float *p, ptrdiff_t n, float fill) { return n >= 16 ? load(p) : load_some(p, n, fill); }
RETORT_INLINE void store_part(float *p, v16 x, ptrdiff_t n) {
  if (n >= 16) store(p, x); else store_some(p, x, n);
}

/// The tree that closes every reduction: lane l + lane l+8, then +4, +2, +1.
RETORT_INLINE float tree_sum(v16 x) {
  float t[16];
  store(t, x);
  for (int width = 8; width >= 1; width /= 2)
    for (int i = 0; i < width; i++) t[i] = t[i] + t[i + width];
  return t[0];
}

RETORT_INLINE float tree_maximum(v16 x) {
  float t[16];
  store(t, x);
  for (int i = 1; i < 16; i++) t[0] = t[i] > t[0] ? t[i] : t[0];
  return t[0];
}

/// eˣ within 1 ulp or so; 0 below −87.3. Reference: Moshier, Cephes, expf.
RETORT_INLINE v16 exp16(v16 x) {
  x = x < splat(-88.0f) ? splat(-88.0f) : x;
  x = x > splat(88.3f) ? splat(88.3f) : x;
  v16 shifted = fma16(x, splat(1.44269504088896341f), splat(12582912.0f));
  i16 n = __builtin_bit_cast(i16, shifted) - 0x4b400000;
  v16 nf = shifted - splat(12582912.0f);
  v16 r = fma16(nf, splat(-0.693359375f), x);
  r = fma16(nf, splat(2.12194440e-4f), r);
  v16 p = splat(1.9875691500e-4f);
  p = fma16(p, r, splat(1.3981999507e-3f));
  p = fma16(p, r, splat(8.3334519073e-3f));
  p = fma16(p, r, splat(4.1665795894e-2f));
  p = fma16(p, r, splat(1.6666665459e-1f));
  p = fma16(p, r, splat(5.0000001201e-1f));
  p = fma16(p, r * r, r + splat(1.0f));
  v16 scale = __builtin_bit_cast(v16, (n + 127) << 23);
  return p * scale;
}

RETORT_INLINE v16 sigmoid16(v16 x) { return splat(1.0f) / (splat(1.0f) + exp16(-x)); }

/// Sixteen finite IEEE halves as floats, exactly. LEVEL_HAS_F16C: the level converts them in one instruction, whatever the denormal mode.
RETORT_INLINE v16 halves16(const void *p) {
  h16 h = *(const h16_unaligned *)p;
#if defined(LEVEL_HAS_F16C)
  typedef _Float16 f16 __attribute__((ext_vector_type(16)));
  return __builtin_convertvector(__builtin_bit_cast(f16, h), v16);
#else
  u16 wide = __builtin_convertvector(h, u16), magnitude = wide & 0x7fff;
  v16 small = __builtin_convertvector(__builtin_bit_cast(i16, magnitude), v16) * splat(0x1p-24f);
  u16 bits = magnitude < 0x400 ? __builtin_bit_cast(u16, small) : (magnitude << 13) + (112u << 23);
  return __builtin_bit_cast(v16, bits | (wide & 0x8000) << 16);
#endif
}

/// Sixteen bfloat16 numbers as floats.
RETORT_INLINE v16 bfloats16(const void *p) {
  return __builtin_bit_cast(v16, __builtin_convertvector(*(const h16_unaligned *)p, u16) << 16);
}

/// Each lane rounded to the nearest bfloat16, ties to even, denormals to zero, kept as fp32: what the processor's own conversion gives.
RETORT_INLINE v16 to_bfloat16(v16 x) {
  u16 bits = __builtin_bit_cast(u16, x), magnitude = bits & 0x7fffffff;
  u16 rounded = (bits + 0x7fff + (bits >> 16 & 1)) & 0xffff0000;
  rounded = magnitude < 0x00800000 ? bits & 0x80000000 : rounded;
  rounded = magnitude > 0x7f800000 ? (bits | 0x00400000) & 0xffff0000 : rounded;
  return __builtin_bit_cast(v16, rounded);
}

/// Runs tasks 0..<count, on the pool if the work (about one unit per fused multiply-add) is worth it.
RETORT_INLINE void run_tasks_limited(ptrdiff_t count, ptrdiff_t work, int limit, void (*fn)(void *, ptrdiff_t, int), void *context) {
  if (work >= 32768) {
    retort_parallel_for_limited(count, limit, fn, context);
  } else {
    for (ptrdiff_t i = 0; i < count; i++) fn(context, i, 0);
  }
}

RETORT_INLINE void run_tasks(ptrdiff_t count, ptrdiff_t work, void (*fn)(void *, ptrdiff_t, int), void *context) {
  run_tasks_limited(count, work, RETORT_MAXIMUM_THREADS, fn, context);
}
