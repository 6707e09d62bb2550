/* Measures a `filter_video` as OBS calls it: from a native thread, at a steady rate. */

#include "block.h"

#include <string.h>

typedef struct frame *(*filter_video)(void *data, struct frame *frame);

/* Calls `call` so many times, `period_ns` apart (0: without a pause), on each of the frames in turn, and
 * writes down how long each call took. Python calls this with the interpreter lock given away. */
EXPORT void obs_faceswap_bench_loop(filter_video call, void *data, struct frame **frames, uint32_t frame_count,
				    uint32_t calls, uint64_t period_ns, uint64_t *took_ns)
{
	uint64_t due = clock_ns();
	for (uint32_t number = 0; number < calls; number++, due += period_ns) {
		if (period_ns)
			sleep_until(due);
		uint64_t started = clock_ns();
		call(data, frames[number % frame_count]);
		took_ns[number] = clock_ns() - started;
	}
}

/* What any filter must pay at least: a `filter_video` that copies every plane to `slots` and back.
 * The slots are used in turn, as an exchange would. */
struct bare {
	uint8_t *memory;
	uint64_t slot_bytes;
	uint64_t slots;
	uint64_t turn;
};

EXPORT struct frame *obs_faceswap_bare_copies(struct bare *bare, struct frame *frame)
{
	uint8_t *slot = bare->memory + bare->turn++ % bare->slots * bare->slot_bytes;
	uint8_t *other = bare->memory + bare->turn % bare->slots * bare->slot_bytes;
	const struct format *format = &FORMATS[frame->format];
	for (int number = 0; number < format->planes; number++) {
		uint32_t step = format->plane[number].y_step;
		size_t bytes = (size_t)frame->linesize[number] * ((frame->height + step - 1) / step);
		memcpy(slot, frame->data[number], bytes);
		memcpy(frame->data[number], other, bytes);
		slot += bytes;
		other += bytes;
	}
	return frame;
}
