// Products of whole matrices: blocks of both operands are packed so that they stay in the caches, then multiplied tile by tile.
// Packed: panels [word of k][width], MR rows of A or 16 columns of B wide. A word is
//   - fp32 products: the number itself;
//   - bfloat16 products: two bfloat16 numbers (even k low, odd k high) where the level multiplies pairs (LEVEL_HAS_PAIRS), else one
//     number, rounded to bfloat16 and kept as fp32, the two of a pair exchanged. Either way an output is one chain, odd k before even k.
// How blocks are cut cannot change a bit: a chain goes on from the C that the block before has left.

/// Words of k that a tile works through at once: what fits the first-level cache.
#define GEMM_TILE_WORDS 256
/// Panels and k that one packing task handles.
#define GEMM_PACK_PANELS 8
#define GEMM_PACK_DEPTH 1024
/// The most terms that a block has pieces of.
#define GEMM_PIECES 8
/// Rows of k (an even number) that are packed at a time where k lies across the rows.
#define GEMM_PACK_STRIP 16
/// How many panels (k along the rows) or rows (k across them) before they are packed an operand's numbers are sent for.
#define GEMM_PANELS_AHEAD 2
#define GEMM_ROWS_AHEAD 32

/// One operand: panel row r, k i is x[r·ld + i] where k lies along the rows of x, else x[i·ld + r].
typedef struct gemm_operand {
  const void *x;
  ptrdiff_t ld, rows;
  int along, bfloat;
} gemm_operand;

/// Some k of one term in the block at hand: in its panels the words from `word` on.
typedef struct gemm_piece {
  gemm_operand a, b;
  ptrdiff_t k0, k1, word, depth_tasks;
} gemm_piece;

typedef struct gemm_job {
  const retort_term *terms;
  ptrdiff_t term_count, m, n;
  int pairs;
  float *c;
  ptrdiff_t ldc;
  const float *bias;
  int accumulate;
  uint32_t *packed_a, *packed_b;
  // The block at hand: rows m0..<m1 of A, n0..<n1 of B, some k of terms that follow one another; how many groups of panels are packed.
  ptrdiff_t m0, m1, n0, n1, words, a_groups, b_groups, tile_rows, column_tiles;
  int is_first;
  ptrdiff_t piece_count;
  gemm_piece pieces[GEMM_PIECES];
} gemm_job;

/// Words of a packed panel's row for k numbers.
RETORT_INLINE ptrdiff_t gemm_words(int pairs, ptrdiff_t k) {
#if defined(LEVEL_HAS_PAIRS)
  return pairs ? (k + 1) / 2 : k;
#else
  return pairs ? round_up(k, 2) : k;
#endif
}

// MARK: Words

#if defined(LEVEL_HAS_PAIRS)
/// Sixteen pairs from their even and odd numbers: [e0 o0 e1 o1 …].
RETORT_INLINE u16 pairs_across(v16 even, v16 odd) {
  typedef uint16_t h32 __attribute__((ext_vector_type(32)));
  h32 both = __builtin_bit_cast(h32, _mm512_cvtne2ps_pbh(__builtin_bit_cast(__m512, odd), __builtin_bit_cast(__m512, even)));
  both = __builtin_shufflevector(both, both, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23, 8, 24, 9, 25, 10, 26, 11, 27, 12,
                                 28, 13, 29, 14, 30, 15, 31);
  return __builtin_bit_cast(u16, both);
}
/// Sixteen pairs from 32 adjacent numbers.
RETORT_INLINE u16 pairs_along(v16 low, v16 high) {
  return __builtin_bit_cast(u16, _mm512_cvtne2ps_pbh(__builtin_bit_cast(__m512, high), __builtin_bit_cast(__m512, low)));
}
#endif

/// Sixteen numbers of an operand from index i on, the first n of them; others are 0.
RETORT_INLINE v16 gemm_load(const int bfloat, const void *x, ptrdiff_t i, ptrdiff_t n) {
  if (!bfloat) return load_part((const float *)x + i, n, 0);
  uint16_t t[16] = {0};
  const uint16_t *p = (const uint16_t *)x + i;
  if (n >= 16) return bfloats16(p);
  for (ptrdiff_t l = 0; l < n; l++) t[l] = p[l];
  return bfloats16(t);
}

RETORT_INLINE void store_words(const int width, uint32_t *out, u16 words) { memcpy(out, &words, (size_t)width * 4); }

/// The transpose of 16 × 16 words in place.
RETORT_INLINE void transpose16(u16 w[16]) {
#define EXCHANGE(step, first, second)                          \
  UNROLL for (int i = 0; i < 16; i++) {                        \
    if (i & step) continue;                                    \
    u16 a = w[i], b = w[i + step];                             \
    w[i] = __builtin_shufflevector(a, b, first);               \
    w[i + step] = __builtin_shufflevector(a, b, second);       \
  }
#define LIST(...) __VA_ARGS__
  EXCHANGE(1, LIST(0, 16, 2, 18, 4, 20, 6, 22, 8, 24, 10, 26, 12, 28, 14, 30), LIST(1, 17, 3, 19, 5, 21, 7, 23, 9, 25, 11, 27, 13, 29, 15, 31))
  EXCHANGE(2, LIST(0, 1, 16, 17, 4, 5, 20, 21, 8, 9, 24, 25, 12, 13, 28, 29), LIST(2, 3, 18, 19, 6, 7, 22, 23, 10, 11, 26, 27, 14, 15, 30, 31))
  EXCHANGE(4, LIST(0, 1, 2, 3, 16, 17, 18, 19, 8, 9, 10, 11, 24, 25, 26, 27), LIST(4, 5, 6, 7, 20, 21, 22, 23, 12, 13, 14, 15, 28, 29, 30, 31))
  EXCHANGE(8, LIST(0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23), LIST(8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31))
#undef LIST
#undef EXCHANGE
}

// MARK: Packing

/// Sends for an operand's number i, to the second-level cache: in the first one rows that lie a multiple of 4 KB apart would push each other out.
RETORT_INLINE void fetch_ahead(const int bfloat, const gemm_operand *x, ptrdiff_t i) {
  __builtin_prefetch((const uint8_t *)x->x + i * (bfloat ? 2 : 4), 0, 2);
}

/// One panel of up to `width` rows r0… for k0..<k1, where k lies along the rows.
RETORT_INLINE void pack_along(const int pairs, const int bfloat, const int width, const gemm_operand *x, ptrdiff_t r0, ptrdiff_t k0,
                              ptrdiff_t k1, uint32_t *out) {
  ptrdiff_t count = smaller(width, x->rows - r0);
#if defined(LEVEL_HAS_PAIRS)
  const ptrdiff_t step = pairs ? 32 : 16;
#else
  const ptrdiff_t step = 16;
#endif
  for (ptrdiff_t i = k0; i < k1; i += step) {
    ptrdiff_t n = k1 - i;
    u16 w[16];
    UNROLL for (int r = 0; r < 16; r++) {
      w[r] = (u16)0;
      if (r >= width || r >= count) continue;
      ptrdiff_t at = (r0 + r) * x->ld + i, ahead = at + GEMM_PANELS_AHEAD * width * x->ld;
      fetch_ahead(bfloat, x, ahead);
      if (!bfloat && step > 16) fetch_ahead(bfloat, x, ahead + 16);
#if defined(LEVEL_HAS_PAIRS)
      if (pairs) {
        if (bfloat && n >= 32) {
          memcpy(&w[r], (const uint16_t *)x->x + at, 64);
        } else {
          w[r] = pairs_along(gemm_load(bfloat, x->x, at, n), gemm_load(bfloat, x->x, at + 16, n - 16));
        }
        continue;
      }
#endif
      v16 v = gemm_load(bfloat, x->x, at, n);
      w[r] = __builtin_bit_cast(u16, pairs && !bfloat ? to_bfloat16(v) : v);
    }
    transpose16(w);
    ptrdiff_t words = gemm_words(pairs, n);
#if defined(LEVEL_HAS_PAIRS)
    UNROLL for (int j = 0; j < 16; j++) if (j < words) store_words(width, out + j * width, w[j]);
#else
    UNROLL for (int j = 0; j < 16; j++) if (j < words) store_words(width, out + (pairs ? j ^ 1 : j) * width, w[j]);
#endif
    out += 16 * width;
  }
}

/// The words of a panel for one k, or for two that are a pair (`second`: the other is there); the first n of its rows.
RETORT_INLINE void pack_row(const int pairs, const int bfloat, const int width, const gemm_operand *x, ptrdiff_t at, int second,
                            ptrdiff_t n, uint32_t *to) {
  v16 even = gemm_load(bfloat, x->x, at, n);
  if (!pairs) {
    store_words(width, to, __builtin_bit_cast(u16, even));
    return;
  }
  v16 odd = second ? gemm_load(bfloat, x->x, at + x->ld, n) : splat(0);
#if defined(LEVEL_HAS_PAIRS)
  store_words(width, to, pairs_across(even, odd));
#else
  store_words(width, to, __builtin_bit_cast(u16, bfloat ? odd : to_bfloat16(odd)));
  store_words(width, to + width, __builtin_bit_cast(u16, bfloat ? even : to_bfloat16(even)));
#endif
}

/// The panels of rows r0..<r1 for k0..<k1, where k lies across the rows; panels are `panel_words` apart. Panels are written in strips: all
/// of them at once would meet in the same few places of the first-level cache.
RETORT_INLINE void pack_across(const int pairs, const int bfloat, const int width, const gemm_operand *x, ptrdiff_t r0, ptrdiff_t r1,
                               ptrdiff_t k0, ptrdiff_t k1, uint32_t *out, ptrdiff_t panel_words) {
  const ptrdiff_t step = pairs ? 2 : 1, words = gemm_words(pairs, step) * width;
  for (ptrdiff_t s = k0; s < k1; s += GEMM_PACK_STRIP) {
    ptrdiff_t end = smaller(s + GEMM_PACK_STRIP, k1), whole = s + (end - s) / step * step;
    uint32_t *panel = out + (s - k0) / step * words;
    for (ptrdiff_t r = r0; r < r1; r += width, panel += panel_words) {
      ptrdiff_t n = x->rows - r, i = s;
      uint32_t *to = panel;
      if (n >= 16) {
        for (; i < whole; i += step, to += words) {
          UNROLL for (int l = 0; l < step; l++) fetch_ahead(bfloat, x, (i + l + GEMM_ROWS_AHEAD) * x->ld + r);
          pack_row(pairs, bfloat, width, x, i * x->ld + r, 1, 16, to);
        }
      }
      for (; i < end; i += step, to += words) pack_row(pairs, bfloat, width, x, i * x->ld + r, i + 1 < k1, n, to);
    }
  }
}

/// Packs some panels of an operand (row0: the block's first) for some k of a piece.
RETORT_INLINE void pack_part(const int pairs, const int bfloat, const int width, const gemm_job *job, const gemm_piece *piece,
                             const gemm_operand *x, ptrdiff_t row0, ptrdiff_t row1, ptrdiff_t task, uint32_t *packed) {
  ptrdiff_t k0 = piece->k0 + task % piece->depth_tasks * GEMM_PACK_DEPTH, k1 = smaller(k0 + GEMM_PACK_DEPTH, piece->k1);
  ptrdiff_t group = GEMM_PACK_PANELS * width, r0 = row0 + task / piece->depth_tasks * group, r1 = smaller(r0 + group, row1);
  ptrdiff_t panel_words = job->words * width;
  uint32_t *out = packed + (r0 - row0) * job->words + (piece->word + gemm_words(pairs, k0 - piece->k0)) * width;
  if (!x->along) {
    pack_across(pairs, bfloat, width, x, r0, r1, k0, k1, out, panel_words);
    return;
  }
  for (ptrdiff_t r = r0; r < r1; r += width, out += panel_words) pack_along(pairs, bfloat, width, x, r, k0, k1, out);
}

static void gemm_pack_task(void *context, ptrdiff_t index, int worker) {
  (void)worker;
  const gemm_job *job = context;
  const gemm_piece *piece = job->pieces;
  for (; index >= (job->a_groups + job->b_groups) * piece->depth_tasks; piece++) index -= (job->a_groups + job->b_groups) * piece->depth_tasks;
  if (index < job->a_groups * piece->depth_tasks) {
    if (job->pairs) pack_part(1, 0, MR, job, piece, &piece->a, job->m0, job->m1, index, job->packed_a);
    else pack_part(0, 0, MR, job, piece, &piece->a, job->m0, job->m1, index, job->packed_a);
    return;
  }
  index -= job->a_groups * piece->depth_tasks;
  if (piece->b.bfloat) pack_part(1, 1, 16, job, piece, &piece->b, job->n0, job->n1, index, job->packed_b);
  else if (job->pairs) pack_part(1, 0, 16, job, piece, &piece->b, job->n0, job->n1, index, job->packed_b);
  else pack_part(0, 0, 16, job, piece, &piece->b, job->n0, job->n1, index, job->packed_b);
}

// MARK: Tiles

#if defined(LEVEL_HAS_PAIRS)
/// C[rows ≤ MR, n ≤ 16·panels] = start + A·B over `words` pairs. Rows of A beyond `rows` are whatever the panel holds.
RETORT_INLINE void pair_tile(const int panels, ptrdiff_t words, const uint32_t *a, const uint32_t *b, ptrdiff_t panel_words, float *c,
                             ptrdiff_t ldc, int start, const float *bias, int rows, ptrdiff_t n) {
  v16 sum[MR * 2];
  UNROLL for (int r = 0; r < MR; r++) {
    UNROLL for (int p = 0; p < panels; p++) {
      const float *from = start == START_C ? c + r * ldc : bias;
      sum[r * panels + p] = start == START_ZERO || r >= rows ? splat(0) : load_part(from + p * 16, n - p * 16, 0);
    }
  }
  for (ptrdiff_t i = 0; i < words; i++, a += MR, b += 16) {
    __m512bh b0 = (__m512bh)_mm512_loadu_si512(b), b1 = panels > 1 ? (__m512bh)_mm512_loadu_si512(b + panel_words) : b0;
    UNROLL for (int r = 0; r < MR; r++) {
      __m512bh av = (__m512bh)_mm512_set1_epi32((int)a[r]);
      v16 *s = &sum[r * panels];
      s[0] = __builtin_bit_cast(v16, _mm512_dpbf16_ps(__builtin_bit_cast(__m512, s[0]), b0, av));
      if (panels > 1) s[1] = __builtin_bit_cast(v16, _mm512_dpbf16_ps(__builtin_bit_cast(__m512, s[1]), b1, av));
    }
  }
  UNROLL for (int r = 0; r < MR; r++) {
    if (r >= rows) continue;
    UNROLL for (int p = 0; p < panels; p++) store_part(c + r * ldc + p * 16, sum[r * panels + p], n - p * 16);
  }
}

static void wide_pair_tile(ptrdiff_t words, const uint32_t *a, const uint32_t *b, ptrdiff_t panel_words, float *c, ptrdiff_t ldc,
                           int start, const float *bias, int rows, ptrdiff_t n) {
  pair_tile(2, words, a, b, panel_words, c, ldc, start, bias, rows, n);
}

static void narrow_pair_tile(ptrdiff_t words, const uint32_t *a, const uint32_t *b, float *c, ptrdiff_t ldc, int start,
                             const float *bias, int rows, ptrdiff_t n) {
  pair_tile(1, words, a, b, 0, c, ldc, start, bias, rows, n);
}
#endif

/// One tile of MR × 16·NP (or less).
RETORT_INLINE void gemm_tile(const gemm_job *job, ptrdiff_t rows, ptrdiff_t n, ptrdiff_t words, const uint32_t *a, const uint32_t *b,
                             float *c, int start, const float *bias) {
#if defined(LEVEL_HAS_PAIRS)
  if (job->pairs) {
    if (n > 16) wide_pair_tile(words, a, b, 16 * job->words, c, job->ldc, start, bias, (int)rows, n);
    else narrow_pair_tile(words, a, b, c, job->ldc, start, bias, (int)rows, n);
    return;
  }
#endif
  tile_function f = n > 16 * (NP - 1) ? full_tiles[rows - 1][0] : narrow_tiles[rows - 1][0];
  f(words, (const float *)a, MR, (const float *)b, 16, 16 * job->words, c, job->ldc, start, bias, n);
}

#define GEMM_TILE_COLUMNS 64

/// Sends for a tile's part of C, to be written: else the stores at its end wait for memory one after another.
RETORT_INLINE void gemm_fetch_c(const float *c, ptrdiff_t ldc, ptrdiff_t rows) {
  for (ptrdiff_t r = 0; r < rows; r++)
    UNROLL for (int p = 0; p < NP; p++) __builtin_prefetch(c + r * ldc + p * 16, 1);
}

static void gemm_tile_task(void *context, ptrdiff_t index, int worker) {
  (void)worker;
  const gemm_job *job = context;
  ptrdiff_t i0 = job->m0 + index / job->column_tiles * job->tile_rows, i1 = smaller(i0 + job->tile_rows, job->m1);
  ptrdiff_t j0 = job->n0 + index % job->column_tiles * GEMM_TILE_COLUMNS, j1 = smaller(j0 + GEMM_TILE_COLUMNS, job->n1);
  int first = !job->is_first || job->accumulate ? START_C : job->bias ? START_BIAS : START_ZERO;
  ptrdiff_t blocks = job->words > GEMM_TILE_WORDS ? (job->words + GEMM_TILE_WORDS - 1) / GEMM_TILE_WORDS : 1;
  ptrdiff_t block = job->words > 0 ? (job->words + blocks - 1) / blocks : 1;
  for (ptrdiff_t w = 0; w == 0 || w < job->words; w += block) {
    ptrdiff_t words = smaller(block, job->words - w);
    int start = w == 0 ? first : START_C;
    for (ptrdiff_t j = j0; j < j1; j += 16 * NP) {
      const uint32_t *b = job->packed_b + (j - job->n0) * job->words + w * 16;
      for (ptrdiff_t i = i0; i < i1; i += MR) {
        // A tile that starts from C reads it first: that of the next one is sent for.
        ptrdiff_t ahead = start == START_C ? i + MR : i;
        gemm_fetch_c(job->c + ahead * job->ldc + j, job->ldc, smaller(MR, i1 - ahead));
        const uint32_t *a = job->packed_a + (i - job->m0) * job->words + w * MR;
        gemm_tile(job, smaller(MR, i1 - i), smaller(16 * NP, j1 - j), words, a, b, job->c + i * job->ldc + j, start,
                  start == START_BIAS ? job->bias + j : NULL);
      }
    }
  }
}

// MARK: Driver

/// Packs (with A's block too where it is new) and multiplies the block at hand, of `depth` k.
static void gemm_run_block(gemm_job *job, ptrdiff_t depth, int packs_a) {
  ptrdiff_t rows = job->m1 - job->m0, columns = job->n1 - job->n0, depth_tasks = 0;
  for (gemm_piece *piece = job->pieces; piece < job->pieces + job->piece_count; piece++) depth_tasks += piece->depth_tasks;
  job->a_groups = packs_a ? (rows + GEMM_PACK_PANELS * MR - 1) / (GEMM_PACK_PANELS * MR) : 0;
  job->b_groups = (columns + GEMM_PACK_PANELS * 16 - 1) / (GEMM_PACK_PANELS * 16);
  run_tasks((job->a_groups + job->b_groups) * depth_tasks, (columns + (packs_a ? rows : 0)) * depth, gemm_pack_task, job);
  job->column_tiles = (columns + GEMM_TILE_COLUMNS - 1) / GEMM_TILE_COLUMNS;
  job->tile_rows = 120;
  // Enough tiles that dynamic scheduling evens out the threads.
  ptrdiff_t threads = retort_pool_threads();
  while (job->tile_rows > 24 && job->column_tiles * ((rows + job->tile_rows - 1) / job->tile_rows) < 6 * threads)
    job->tile_rows = round_up(job->tile_rows / 2, MR);
  run_tasks(job->column_tiles * ((rows + job->tile_rows - 1) / job->tile_rows), rows * columns * (depth + 1), gemm_tile_task, job);
}

/// Makes the next block's pieces: terms in order from k of `term` on, long ones in near-equal parts (pairs must not be cut), as many as
/// a block holds. Returns the block's k.
static ptrdiff_t gemm_next_block(gemm_job *job, ptrdiff_t *term, ptrdiff_t *k) {
  ptrdiff_t depth = 0;
  job->piece_count = job->words = 0;
  while (*term < job->term_count && job->piece_count < GEMM_PIECES) {
    const retort_term *t = &job->terms[*term];
    ptrdiff_t parts = (t->k + GEMM_DEPTH - 1) / GEMM_DEPTH;
    ptrdiff_t part = t->k > GEMM_DEPTH ? smaller(round_up((t->k + parts - 1) / parts, 32), GEMM_DEPTH) : t->k;
    ptrdiff_t k1 = smaller(*k + part, t->k), count = round_up(k1 - *k, 2);
    if (depth > 0 && depth + count > GEMM_DEPTH) break;
    if (count > 0) {
      ptrdiff_t tasks = (k1 - *k + GEMM_PACK_DEPTH - 1) / GEMM_PACK_DEPTH;
      job->pieces[job->piece_count++] = (gemm_piece){{t->a, t->lda, job->m, t->layout != RETORT_TN, 0},
                                                     {t->b, t->ldb, job->n, t->layout == RETORT_NT, t->b_is_bfloat},
                                                     *k, k1, job->words, tasks};
      job->words += gemm_words(job->pairs, k1 - *k);
      depth += count;
    }
    *k = k1;
    if (k1 == t->k) *term += 1, *k = 0;
  }
  return depth;
}

static void gemm_run(gemm_job *job, float *scratch) {
  ptrdiff_t total = 0, term = 0, k = 0;
  for (ptrdiff_t t = 0; t < job->term_count; t++) total += round_up(job->terms[t].k, 2);
  ptrdiff_t words = gemm_words(job->pairs, smaller(total, GEMM_DEPTH));
  ptrdiff_t row_block = gemm_block(words, GEMM_A_WORDS, 120), column_block = gemm_block(words, GEMM_B_WORDS, GEMM_TILE_COLUMNS);
  job->packed_a = (uint32_t *)scratch;
  job->packed_b = job->packed_a + round_up(smaller(job->m, row_block), MR) * words;
  for (job->is_first = 1; job->is_first || term < job->term_count; job->is_first = 0) {
    ptrdiff_t depth = gemm_next_block(job, &term, &k);
    for (job->m0 = 0; job->m0 < job->m; job->m0 += row_block) {
      job->m1 = smaller(job->m0 + row_block, job->m);
      for (job->n0 = 0; job->n0 < job->n; job->n0 += column_block) {
        job->n1 = smaller(job->n0 + column_block, job->n);
        gemm_run_block(job, depth, job->n0 == 0);
      }
    }
  }
}

static void kernel_product(int bfloat, ptrdiff_t m, ptrdiff_t n, const retort_term *terms, ptrdiff_t count, float *c, ptrdiff_t ldc,
                           const float *bias, int accumulate, float *scratch) {
  if (m <= 0 || n <= 0) return;
  gemm_job job = {.terms = terms, .term_count = count, .m = m, .n = n, .pairs = bfloat, .c = c, .ldc = ldc, .bias = bias,
                  .accumulate = accumulate};
  gemm_run(&job, scratch);
}

static void kernel_gemm(retort_layout layout, ptrdiff_t m, ptrdiff_t n, ptrdiff_t k, const float *a, ptrdiff_t lda, const float *b,
                        ptrdiff_t ldb, float *c, ptrdiff_t ldc, const float *bias, int accumulate, float *scratch) {
  retort_term term = {layout, k, a, lda, b, 0, ldb};
  kernel_product(0, m, n, &term, 1, c, ldc, bias, accumulate, scratch);
}

static void kernel_bfloat_gemm(retort_layout layout, ptrdiff_t m, ptrdiff_t n, ptrdiff_t k, const float *a, ptrdiff_t lda, const void *b,
                               int b_is_bfloat, ptrdiff_t ldb, float *c, ptrdiff_t ldc, const float *bias, int accumulate,
                               float *scratch) {
  retort_term term = {layout, k, a, lda, b, b_is_bfloat, ldb};
  kernel_product(1, m, n, &term, 1, c, ldc, bias, accumulate, scratch);
}

static void kernel_bfloat_probe(ptrdiff_t rounds, float *out) {
  v16 sums[12], factor = splat(0.5f);
  UNROLL for (int i = 0; i < 12; i++) sums[i] = splat((float)i);
  for (ptrdiff_t round = 0; round < rounds; round++) {
#if defined(LEVEL_HAS_PAIRS)
    __m512bh pairs = (__m512bh)_mm512_castps_si512(__builtin_bit_cast(__m512, factor));
    UNROLL for (int i = 0; i < 12; i++)
      sums[i] = __builtin_bit_cast(v16, _mm512_dpbf16_ps(__builtin_bit_cast(__m512, sums[i]), pairs, pairs));
#else
    UNROLL for (int i = 0; i < 12; i++) sums[i] = fma16(factor, factor, fma16(factor, factor, sums[i]));
#endif
    __asm__ volatile("" : "+m"(factor));
  }
  UNROLL for (int i = 1; i < 12; i++) sums[0] += sums[i];
  store(out, sums[0]);
}
