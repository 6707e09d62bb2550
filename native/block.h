/* What the library shares with Python (engine/live/block.py; engine/live/exchange.py says who may write what) and
 * what its own files share with each other. */

#ifndef OBS_FACESWAP_BLOCK_H
#define OBS_FACESWAP_BLOCK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef _WIN32
#define EXPORT __declspec(dllexport)
#else
#define EXPORT __attribute__((visibility("default")))
#endif

/* The control block's words, as block.py numbers and explains them. */
enum word {
	LAYOUT_AT,
	WANTED,
	OFFERED,
	INPUT_NEWEST,
	INPUT_READ_WORKER,
	INPUT_READ_COVER,
	DONE,
	RESULT_NEWEST,
	DUE,
	BUDGET_NS,
	COVER_NEWEST,
	COVER_READ,
	COVER_WANTED_NS,
	POLICY,
	SHOWING,
	DUE_SEEN,
	MOVED_NS,
	STALLED_NS,
	SHOWN,
	DELAY_NS,
	CALLBACKS,
	FRAMES_IN,
	FRAMES_SHOWN,
	HOLD_NS = FRAMES_SHOWN + 4,
	SHIFT_NS,
	LAYOUT_READ,
	WAKE,
	SOURCE,
	PASSED,
	UPDATES,
	PROBLEM,
	TICKS,
	WORDS = 48,
};

enum { RING = 1024, NAME_BYTES = 256, OWN_WORDS = 16, INPUT_SLOTS = 4, MAX_PLANES = 8 };

struct block {
	_Atomic uint64_t words[WORDS];
	uint64_t ring[RING];
	char name[NAME_BYTES];
	uint64_t own[OWN_WORDS]; /* a drawn source's textures */
	struct block *next;      /* the one made before it */
};

struct color {
	float matrix[16];
	bool full_range;
	uint16_t max_luminance;
	float range_min[3];
	float range_max[3];
	bool flip;
	uint8_t flags;
	uint8_t transfer;
};

struct meta {
	uint64_t sequence;
	uint64_t arrival_ns;
	uint64_t timestamp_ns;
	uint64_t kind;
	_Atomic uint64_t ready;
	struct color color;
};

struct plane {
	uint64_t offset, stride, rows;
};

/* The slots of one geometry; never changed once it was announced. */
struct layout {
	uint64_t key;
	uint64_t slots_at, slot_bytes;
	uint64_t metas_at;
	uint64_t results;
	struct plane planes[3];
};

/* struct obs_source_frame of OBS 28.0 and later, up to what is used. */
struct frame {
	uint8_t *data[MAX_PLANES];
	uint32_t linesize[MAX_PLANES];
	uint32_t width, height;
	uint64_t timestamp;
	int32_t format;
	struct color color;
};

enum kind { SWAPPED, FROZEN, COVERED, ORIGINAL };
enum policy { POLICY_FREEZE_BLUR, POLICY_BLUR, POLICY_HIDE, POLICY_ORIGINAL };
enum choice { HIDE = -1, RAW = -2, COVER = -3 };

static inline uint64_t get(struct block *block, enum word word)
{
	return atomic_load_explicit(&block->words[word], memory_order_acquire);
}

static inline void set(struct block *block, enum word word, uint64_t value)
{
	atomic_store_explicit(&block->words[word], value, memory_order_release);
}

static inline void count_up(struct block *block, enum word word)
{
	set(block, word, get(block, word) + 1); /* each word has one writer */
}

/* platform.c */
uint64_t clock_ns(void);
void sleep_until(uint64_t at_ns);
void wake(struct block *block);

/* exchange.c */
uint64_t key_of(int32_t format, uint32_t width, uint32_t height);
const struct layout *enter(struct block *block, uint64_t key);
void leave(struct block *block);
struct meta *meta_of(const struct layout *layout, int index);
uint8_t *slot_of(const struct layout *layout, int index);
void note_frame(struct block *block);
void note_callback(struct block *block, uint64_t started_ns);
int input_slot(struct block *block);
void offer(struct block *block, const struct layout *layout, int index, uint64_t now_ns);
int choose(struct block *block, const struct layout *layout, uint64_t now_ns);
int choose_without_slots(struct block *block);

/* planes.c */
bool is_swapped(int32_t format);
void copy_rows(uint8_t *to, size_t to_stride, const uint8_t *from, size_t from_stride, size_t bytes,
	       size_t rows);
void copy_in(const struct frame *frame, const struct layout *layout, int index);
void copy_out(const struct layout *layout, int index, struct frame *frame);
void blank(struct frame *frame);

/* One plane of a format; see engine/formats.py. */
struct plane_format {
	uint8_t x_step, y_step, sample_bytes;
	uint8_t blank[4];
};

struct format {
	int planes;
	struct plane_format plane[3];
	int twin; /* byte of a sample that, with the second after it, holds two pixels of one plane; -1: none */
};

extern const struct format FORMATS[];

/* cover.c */
bool cover(struct frame *frame);

/* filter.c */
uint64_t policy_of(void *settings);

/* drawn.c */
void new_tick(struct block *block);
void draw(struct block *block, void *target, void *parent);
void draw_cover(struct block *block, void *target, void *parent);

#endif
