/* Frames in memory: the formats, copies to and from slots, and black. */

#include "block.h"

#include <string.h>

#define LUMA {1, 1, 1, {16}}
#define CHROMA(x, y) {x, y, 1, {128}}
#define PIXEL(...) {1, 1, 4, {__VA_ARGS__}}
#define PAIR(...) {2, 1, 4, {__VA_ARGS__}}

/* By enum video_format. A row is blank where the repeated bytes of `blank` fill it. */
const struct format FORMATS[] = {
	[1] = {3, {LUMA, CHROMA(2, 2), CHROMA(2, 2)}, -1},      /* I420 */
	[2] = {2, {LUMA, {2, 2, 2, {128, 128}}}, -1},           /* NV12 */
	[3] = {1, {PAIR(16, 128, 16, 128)}, 0},                 /* YVYU */
	[4] = {1, {PAIR(16, 128, 16, 128)}, 0},                 /* YUY2 */
	[5] = {1, {PAIR(128, 16, 128, 16)}, 1},                 /* UYVY */
	[6] = {1, {PIXEL(0, 0, 0, 255)}, -1},                   /* RGBA */
	[7] = {1, {PIXEL(0, 0, 0, 255)}, -1},                   /* BGRA */
	[8] = {1, {PIXEL(0, 0, 0, 255)}, -1},                   /* BGRX */
	[9] = {1, {LUMA}, -1},                                  /* Y800 */
	[10] = {3, {LUMA, CHROMA(1, 1), CHROMA(1, 1)}, -1},     /* I444 */
	[11] = {1, {{1, 1, 3, {0, 0, 0}}}, -1},                 /* BGR3 */
	[12] = {3, {LUMA, CHROMA(2, 1), CHROMA(2, 1)}, -1},     /* I422 */
};

/* Unknown formats whose second and third plane have all rows: I42A, YUVA, I210, I412, YA2L, P416. */
static const uint32_t FULL_HEIGHT = 1u << 14 | 1u << 15 | 1u << 19 | 1u << 20 | 1u << 21 | 1u << 23;

bool is_swapped(int32_t format)
{
	return format >= 1 && format < (int32_t)(sizeof(FORMATS) / sizeof(FORMATS[0]));
}

void copy_rows(uint8_t *to, size_t to_stride, const uint8_t *from, size_t from_stride, size_t bytes,
	       size_t rows)
{
	if (to_stride == from_stride) {
		memcpy(to, from, to_stride * rows);
		return;
	}
	if (bytes > to_stride)
		bytes = to_stride;
	if (bytes > from_stride)
		bytes = from_stride;
	for (size_t row = 0; row < rows; row++)
		memcpy(to + row * to_stride, from + row * from_stride, bytes);
}

void copy_in(const struct frame *frame, const struct layout *layout, int index)
{
	for (int number = 0; number < FORMATS[frame->format].planes; number++) {
		const struct plane *plane = &layout->planes[number];
		copy_rows(slot_of(layout, index) + plane->offset, plane->stride, frame->data[number],
			  frame->linesize[number], plane->stride, plane->rows);
	}
	meta_of(layout, index)->timestamp_ns = frame->timestamp;
	meta_of(layout, index)->color = frame->color;
}

void copy_out(const struct layout *layout, int index, struct frame *frame)
{
	for (int number = 0; number < FORMATS[frame->format].planes; number++) {
		const struct plane *plane = &layout->planes[number];
		copy_rows(frame->data[number], frame->linesize[number], slot_of(layout, index) + plane->offset,
			  plane->stride, plane->stride, plane->rows);
	}
}

/* Repeats four bytes; doubles what is there, so that memcpy does the work. */
static void fill(uint8_t *to, size_t bytes, const uint8_t pattern[4])
{
	size_t done = bytes < 4 ? bytes : 4;
	memcpy(to, pattern, done);
	while (done < bytes) {
		size_t step = done < bytes - done ? done : bytes - done;
		memcpy(to + done, to, step);
		done += step;
	}
}

static void fill_plane(uint8_t *to, size_t bytes, const struct plane_format *plane)
{
	uint8_t pattern[4];
	for (int byte = 0; byte < 4; byte++)
		pattern[byte] = plane->blank[byte % plane->sample_bytes];
	if (plane->sample_bytes < 3)
		memset(to, pattern[0], bytes);
	else
		fill(to, bytes, pattern);
}

/* A format that is not swapped: every sample becomes 0, in as many rows as are surely there. */
static void zero(struct frame *frame)
{
	bool is_full = frame->format > 0 && frame->format < 32 && (FULL_HEIGHT >> frame->format & 1);
	for (int number = 0; number < MAX_PLANES; number++) {
		bool is_half = (number == 1 || number == 2) && !is_full;
		size_t rows = is_half ? (frame->height + 1) / 2 : frame->height;
		if (frame->data[number])
			memset(frame->data[number], 0, frame->linesize[number] * rows);
	}
}

void blank(struct frame *frame)
{
	if (!is_swapped(frame->format)) {
		zero(frame);
		return;
	}
	const struct format *format = &FORMATS[frame->format];
	for (int number = 0; number < format->planes; number++) {
		const struct plane_format *plane = &format->plane[number];
		size_t rows = (frame->height + plane->y_step - 1) / plane->y_step;
		fill_plane(frame->data[number], frame->linesize[number] * rows, plane);
	}
}
