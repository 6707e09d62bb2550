/* Blends a face, resampled as engine/finish/merge.py does it, into a frame's luma and chroma in one pass. */

#include "block.h"

#include <string.h>

enum { PIECE = 1024 }; /* luma samples of a row worked on at once; even */

/* A pixel of a layer: the samples Y, Cb, Cr and the weight in its bytes, from the lowest. */
enum { Y_BITS = 0, CB_BITS = 8, CR_BITS = 16, WEIGHT_BITS = 24 };

/* The first sample of one component in the region, and the bytes to the next row and to the next sample. */
struct component {
	uint8_t *first;
	uint64_t stride, pitch;
};

struct merge {
	const uint32_t *layer;
	uint64_t layer_columns;
	uint64_t columns, rows; /* of luma */
	uint64_t x_step, y_step;
	uint64_t components; /* 1 or 3 */
	struct component component[3];
};

static inline uint8_t byte_of(uint32_t pixel, int bits)
{
	return (uint8_t)(pixel >> bits);
}

/* `old + weight / 255 * (new - old)`, rounded once. */
static inline uint8_t mixed(uint8_t old, uint8_t new, uint8_t weight)
{
	uint8_t apart = (uint8_t)(new > old ? new - old : old - new);
	uint16_t product = (uint16_t)((uint16_t)(apart * weight) + 128);
	uint8_t step = (uint8_t)((uint16_t)(product + (product >> 8)) >> 8);
	return (uint8_t)(new > old ? old + step : old - step);
}

static void blend_row(uint8_t *restrict to, size_t pitch, const uint8_t *restrict new,
		      const uint8_t *restrict weights, size_t count)
{
	if (pitch == 1) {
		for (size_t place = 0; place < count; place++)
			to[place] = mixed(to[place], new[place], weights[place]);
	} else {
		for (size_t place = 0; place < count; place++)
			to[place * pitch] = mixed(to[place * pitch], new[place], weights[place]);
	}
}

static void blend_part(const struct merge *merge, int number, uint64_t row, uint64_t column, const uint8_t *new,
		       const uint8_t *weights, size_t count)
{
	const struct component *part = &merge->component[number];
	uint8_t *to = part->first + row * part->stride + column * part->pitch;
	blend_row(to, part->pitch, new, weights, count);
}

static void take(uint8_t *restrict to, const uint32_t *restrict pixels, int bits, size_t count)
{
	for (size_t place = 0; place < count; place++)
		to[place] = byte_of(pixels[place], bits);
}

static bool any(const uint8_t *bytes, size_t count)
{
	uint8_t all = 0;
	for (size_t place = 0; place < count; place++)
		all |= bytes[place];
	return all;
}

/* The means of one byte over the blocks of a row of chroma; a missing last column counts as the one before. */
static void means(uint8_t *restrict to, const uint32_t *restrict upper, const uint32_t *restrict lower, int bits,
		  size_t columns, size_t x_step)
{
	if (x_step == 1) {
		for (size_t place = 0; place < columns; place++)
			to[place] = (uint8_t)((byte_of(upper[place], bits) + byte_of(lower[place], bits) + 1) >> 1);
		return;
	}
	for (size_t place = 0; place < columns / 2; place++) {
		unsigned above = byte_of(upper[2 * place], bits) + byte_of(upper[2 * place + 1], bits);
		unsigned below = byte_of(lower[2 * place], bits) + byte_of(lower[2 * place + 1], bits);
		to[place] = (uint8_t)((above + below + 2) >> 2);
	}
	if (columns % 2) {
		unsigned both = byte_of(upper[columns - 1], bits) + byte_of(lower[columns - 1], bits);
		to[columns / 2] = (uint8_t)((both + 1) >> 1);
	}
}

/* One row of chroma, from the layer's rows that lie in its blocks. */
static void blend_chroma(const struct merge *merge, uint64_t row, uint64_t column, const uint32_t *upper,
			 const uint32_t *lower, size_t columns)
{
	uint8_t new[PIECE], weights[PIECE];
	size_t count = (columns + merge->x_step - 1) / merge->x_step;
	means(weights, upper, lower, WEIGHT_BITS, columns, merge->x_step);
	if (!any(weights, count))
		return;
	for (int number = 1; number < 3; number++) {
		means(new, upper, lower, number == 1 ? CB_BITS : CR_BITS, columns, merge->x_step);
		blend_part(merge, number, row, column / merge->x_step, new, weights, count);
	}
}

/* A layer of luma's size. Returns whether any of its weights is more than 0. */
EXPORT bool obs_faceswap_merge(const struct merge *merge)
{
	uint8_t new[PIECE], weights[PIECE];
	bool found = false;
	for (uint64_t row = 0; row < merge->rows; row++) {
		for (uint64_t column = 0; column < merge->columns; column += PIECE) {
			const uint32_t *pixels = merge->layer + row * merge->layer_columns + column;
			size_t count = merge->columns - column < PIECE ? merge->columns - column : PIECE;
			take(weights, pixels, WEIGHT_BITS, count);
			bool is_shown = any(weights, count);
			found |= is_shown;
			if (is_shown) {
				take(new, pixels, Y_BITS, count);
				blend_part(merge, 0, row, column, new, weights, count);
			}
			if (merge->components < 3 || row % merge->y_step)
				continue;
			const uint32_t *lower = pixels;
			if (merge->y_step == 2 && row + 1 < merge->rows)
				lower += merge->layer_columns;
			blend_chroma(merge, row / merge->y_step, column, pixels, lower, count);
		}
	}
	return found;
}

/* A row of one byte at twice the width, times 4. `pixels` has one more on each side. */
static void wide(uint16_t *restrict to, const uint32_t *restrict pixels, int bits, size_t count)
{
	for (size_t place = 0; place < count; place++) {
		uint16_t middle = (uint16_t)(3 * byte_of(pixels[place + 1], bits));
		to[2 * place] = (uint16_t)(middle + byte_of(pixels[place], bits));
		to[2 * place + 1] = (uint16_t)(middle + byte_of(pixels[place + 2], bits));
	}
}

/* The row between two wide ones, three quarters of the way to the nearer. */
static void between(uint8_t *restrict to, const uint16_t *restrict near, const uint16_t *restrict far, size_t count)
{
	for (size_t place = 0; place < count; place++)
		to[place] = (uint8_t)((uint16_t)(3 * near[place] + far[place] + 8) >> 4);
}

struct wide_row {
	uint16_t luma[PIECE], weights[PIECE];
};

static void widen(struct wide_row *row, const uint32_t *pixels, size_t count)
{
	wide(row->luma, pixels, Y_BITS, count);
	wide(row->weights, pixels, WEIGHT_BITS, count);
}

/* One column of pieces of a layer of half luma's size. */
static bool blend_doubled(const struct merge *merge, uint64_t column)
{
	struct wide_row wides[3];
	uint8_t new[PIECE], weights[PIECE];
	bool found = false;
	size_t count = merge->columns - column < PIECE ? merge->columns - column : PIECE, half = (count + 1) / 2;
	const uint32_t *pixels = merge->layer + column / 2;
	struct wide_row *above = &wides[0], *here = &wides[1], *below = &wides[2];
	widen(above, pixels, half);
	widen(here, pixels + merge->layer_columns, half);
	for (uint64_t row = 0; row < merge->rows; row++) {
		if (row % 2 == 0) {
			const uint32_t *own = pixels + (row / 2 + 1) * merge->layer_columns;
			widen(below, own + merge->layer_columns, half);
			take(weights, own + 1, WEIGHT_BITS, half);
			found |= any(weights, half);
			for (int number = 1; number < (int)merge->components; number++) {
				take(new, own + 1, number == 1 ? CB_BITS : CR_BITS, half);
				blend_part(merge, number, row / 2, column / 2, new, weights, half);
			}
		}
		const struct wide_row *far = row % 2 ? below : above;
		between(weights, here->weights, far->weights, count);
		if (any(weights, count)) {
			between(new, here->luma, far->luma, count);
			blend_part(merge, 0, row, column, new, weights, count);
		}
		if (row % 2) {
			struct wide_row *gone = above;
			above = here, here = below, below = gone;
		}
	}
	return found;
}

/* A layer of half luma's size, for chroma of half its size, with one more pixel on each side for the luma between
 * them. Returns whether any of its weights is more than 0. */
EXPORT bool obs_faceswap_merge_doubled(const struct merge *merge)
{
	bool found = false;
	for (uint64_t column = 0; column < merge->columns; column += PIECE)
		found |= blend_doubled(merge, column);
	return found;
}
