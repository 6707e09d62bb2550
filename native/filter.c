/* What libobs calls on a filter. Its `data` is the filter's control block. */

#include "block.h"
#include "libobs.h"

#include <string.h>

enum { LOOK_EVERY_TICKS = 4 };

static void *source_of(struct block *block)
{
	return (void *)(uintptr_t)get(block, SOURCE);
}

uint64_t policy_of(void *settings)
{
	static const char *const names[] = {"freeze_blur", "blur", "hide", "original"};
	const char *name = obs.obs_data_get_string(settings, "cover");
	for (uint64_t policy = 0; name && policy < 4; policy++)
		if (!strcmp(name, names[policy]))
			return policy;
	return POLICY_FREEZE_BLUR; /* the setting's default */
}

/* Takes over what the next frame depends on; Python sees UPDATES move and reads the rest. */
EXPORT void obs_faceswap_update(struct block *block, void *settings)
{
	if (!source_of(block))
		return;
	if (get(block, POLICY) == POLICY_ORIGINAL)
		set(block, PASSED, 0); /* the frame OBS goes on showing until the next one may be the original */
	set(block, POLICY, policy_of(settings));
	count_up(block, UPDATES);
}

static void copy_name(struct block *block, void *parent)
{
	const char *name = obs.obs_source_get_name(parent);
	if (!block->name[0] && name)
		strncpy(block->name, name, NAME_BYTES - 1);
}

/* Notes whether anybody sees what the filter does, and whether it was switched off meanwhile. */
static void look_around(struct block *block)
{
	void *source = source_of(block), *parent = obs.obs_filter_get_parent(source);
	if (!parent)
		return;
	copy_name(block, parent);
	bool is_on = obs.obs_source_enabled(source);
	set(block, SHOWING, is_on && obs.obs_source_showing(parent));
	if (!is_on)
		set(block, PASSED, 0); /* frames go by unseen, and OBS goes on showing the last of them */
}

EXPORT void obs_faceswap_video_tick(struct block *block, float seconds)
{
	(void)seconds;
	if (!source_of(block))
		return;
	new_tick(block);
	count_up(block, TICKS);
	if (get(block, TICKS) % LOOK_EVERY_TICKS == 1)
		look_around(block);
}

static int pass_through(struct block *block, const struct layout *layout, struct frame *frame)
{
	uint64_t now = clock_ns();
	if (get(block, SHOWING)) {
		int index = input_slot(block);
		copy_in(frame, layout, index);
		offer(block, layout, index, now);
	}
	int choice = choose(block, layout, now);
	if (choice >= 0)
		copy_out(layout, choice, frame);
	return choice;
}

static int pass(struct block *block, struct frame *frame)
{
	if (!is_swapped(frame->format)) {
		set(block, PROBLEM, (uint64_t)(uint32_t)frame->format + 1);
		return choose_without_slots(block);
	}
	set(block, PROBLEM, 0);
	uint64_t key = key_of(frame->format, frame->width, frame->height);
	const struct layout *layout = enter(block, key);
	int choice = layout ? pass_through(block, layout, frame) : choose_without_slots(block);
	leave(block);
	return choice;
}

/* Replaces the planes of a frame, libobs's own copy, by what may be shown. */
EXPORT struct frame *obs_faceswap_filter_video(struct block *block, struct frame *frame)
{
	uint64_t started = clock_ns(), shift = get(block, SHIFT_NS);
	note_frame(block);
	int choice = pass(block, frame);
	if (choice == HIDE || (choice == COVER && !cover(frame)))
		blank(frame);
	set(block, PASSED, 1);
	frame->timestamp = frame->timestamp > shift ? frame->timestamp - shift : 0;
	note_callback(block, started);
	return frame;
}

/* Draws a source that is no stream of frames; of a stream, what went through `filter_video`. */
EXPORT void obs_faceswap_video_render(struct block *block, void *effect)
{
	(void)effect;
	void *source = source_of(block);
	void *target = source ? obs.obs_filter_get_target(source) : NULL;
	void *parent = source ? obs.obs_filter_get_parent(source) : NULL;
	if (!target || !parent)
		return;
	if (!(obs.obs_source_get_output_flags(parent) & OBS_SOURCE_ASYNC))
		draw(block, target, parent);
	else if (get(block, PASSED) || get(block, POLICY) == POLICY_ORIGINAL)
		obs.obs_source_skip_video_filter(source);
	else if (get(block, POLICY) != POLICY_HIDE)
		draw_cover(block, target, parent); /* OBS still holds a frame that no engine has seen */
}
