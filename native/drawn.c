/* The way of sources that are drawn (image, window, browser, scene): read back, hand over, draw the result.
 * Everything here runs inside OBS's graphics context. */

#include "block.h"
#include "libobs.h"

#include <string.h>

enum {
	GS_BGRA = 5,
	GS_DYNAMIC = 1 << 1,
	GS_CLEAR_COLOR = 1 << 0,
	GS_CS_SRGB = 0,
	GS_CS_SRGB_16F = 1,
	GS_CS_709_EXTENDED = 2,
	GS_CS_709_SCRGB = 3,
	GS_BLEND_ZERO = 0,
	GS_BLEND_ONE = 1,
	GS_BLEND_SRCALPHA = 4,
	GS_BLEND_INVSRCALPHA = 5,
	OBS_EFFECT_DEFAULT = 0,
	OBS_EFFECT_BILINEAR_LOWRES = 6,
	FORMAT_BGRA = 7, /* of enum video_format */
	COLUMNS = 24,
	BETWEEN = 4 * COLUMNS, /* a step between the picture and its cover: averages more of its pixels */
};

static const uint64_t PROBLEM_HDR = (uint64_t)1 << 32;

/* The GPU's objects for one size of picture, and what was decided in this tick. */
struct drawn {
	void *picture, *between, *cover; /* texrenders */
	void *surfaces[2];               /* one is written by the GPU while the other one is read */
	void *result;                    /* the texture finished frames are uploaded to */
	uint64_t uploaded;               /* sequence number of the picture in it */
	uint32_t width, height;
	int32_t choice;
	uint8_t turn;
	bool staged[2];
	bool is_decided;
};

_Static_assert(sizeof(struct drawn) <= OWN_WORDS * sizeof(uint64_t), "the block has room for it");

static struct drawn *drawn_of(struct block *block)
{
	return (struct drawn *)(void *)block->own;
}

void new_tick(struct block *block)
{
	drawn_of(block)->is_decided = false;
}

/* Frees the GPU's objects; all these functions take NULL. */
static void free_all(struct drawn *drawn)
{
	obs.gs_texrender_destroy(drawn->picture);
	obs.gs_texrender_destroy(drawn->between);
	obs.gs_texrender_destroy(drawn->cover);
	obs.gs_stagesurface_destroy(drawn->surfaces[0]);
	obs.gs_stagesurface_destroy(drawn->surfaces[1]);
	obs.gs_texture_destroy(drawn->result);
	memset(drawn, 0, sizeof(*drawn));
	drawn->choice = HIDE;
}

/* Called by Python between obs_enter_graphics and obs_leave_graphics, when the filter ends. */
EXPORT void obs_faceswap_free(struct block *block)
{
	if (drawn_of(block)->picture)
		free_all(drawn_of(block));
}

static bool make_all(struct drawn *drawn)
{
	drawn->picture = obs.gs_texrender_create(GS_BGRA, 0);
	drawn->between = obs.gs_texrender_create(GS_BGRA, 0);
	drawn->cover = obs.gs_texrender_create(GS_BGRA, 0);
	for (int turn = 0; turn < 2; turn++)
		drawn->surfaces[turn] = obs.gs_stagesurface_create(drawn->width, drawn->height, GS_BGRA);
	drawn->result = obs.gs_texture_create(drawn->width, drawn->height, GS_BGRA, 1, NULL, GS_DYNAMIC);
	return drawn->picture && drawn->between && drawn->cover && drawn->surfaces[0] && drawn->surfaces[1] &&
	       drawn->result;
}

/* Whether the GPU's objects for the target's size are there. */
static bool prepare(struct drawn *drawn, void *target)
{
	uint32_t width = obs.obs_source_get_base_width(target);
	uint32_t height = obs.obs_source_get_base_height(target);
	if (drawn->picture && drawn->width == width && drawn->height == height)
		return true;
	bool is_decided = drawn->is_decided;
	free_all(drawn);
	drawn->is_decided = is_decided;
	if (!width || !height)
		return false;
	drawn->width = width;
	drawn->height = height;
	if (make_all(drawn))
		return true;
	free_all(drawn);
	drawn->is_decided = is_decided;
	return false;
}

static void begin(uint32_t width, uint32_t height)
{
	static const _Alignas(16) float nothing[4]; /* libobs loads it with aligned instructions */
	obs.gs_clear(GS_CLEAR_COLOR, nothing, 0.0f, 0);
	obs.gs_ortho(0.0f, (float)width, 0.0f, (float)height, -100.0f, 100.0f);
	obs.gs_blend_state_push();
}

/* Draws the target into its texrender, as libobs's own filters do. */
static bool render(struct drawn *drawn, void *target, void *parent)
{
	obs.gs_texrender_reset(drawn->picture);
	if (!obs.gs_texrender_begin(drawn->picture, drawn->width, drawn->height))
		return false;
	begin(drawn->width, drawn->height);
	/* Colors multiplied by alpha come out, whether the source draws itself like that or not. */
	obs.gs_blend_function_separate(GS_BLEND_SRCALPHA, GS_BLEND_INVSRCALPHA, GS_BLEND_ONE,
				       GS_BLEND_INVSRCALPHA);
	uint32_t flags = obs.obs_source_get_output_flags(parent);
	if (target == parent && !(flags & (OBS_SOURCE_CUSTOM_DRAW | OBS_SOURCE_ASYNC)))
		obs.obs_source_default_render(target);
	else
		obs.obs_source_video_render(target);
	obs.gs_blend_state_pop();
	obs.gs_texrender_end(drawn->picture);
	return true;
}

static void sprite(void *texture, uint32_t width, uint32_t height, int effect_number)
{
	void *effect = obs.obs_get_base_effect(effect_number);
	obs.gs_effect_set_texture(obs.gs_effect_get_param_by_name(effect, "image"), texture);
	while (obs.gs_effect_loop(effect, "Draw"))
		obs.gs_draw_sprite(texture, 0, width, height);
}

static void shrink(void *into, void *texture, uint32_t width, uint32_t height)
{
	height = height ? height : 1;
	obs.gs_texrender_reset(into);
	if (!obs.gs_texrender_begin(into, width, height))
		return;
	begin(width, height);
	obs.gs_blend_function(GS_BLEND_ONE, GS_BLEND_ZERO);
	sprite(texture, width, height, OBS_EFFECT_BILINEAR_LOWRES);
	obs.gs_blend_state_pop();
	obs.gs_texrender_end(into);
}

static void make_cover(struct drawn *drawn)
{
	uint64_t height = drawn->height, width = drawn->width;
	void *picture = obs.gs_texrender_get_texture(drawn->picture);
	shrink(drawn->between, picture, BETWEEN, (uint32_t)(height * BETWEEN / width));
	void *between = obs.gs_texrender_get_texture(drawn->between);
	shrink(drawn->cover, between, COLUMNS, (uint32_t)(height * COLUMNS / width));
}

static void draw_whole(const struct drawn *drawn, void *texture)
{
	obs.gs_blend_state_push();
	obs.gs_blend_function(GS_BLEND_ONE, GS_BLEND_INVSRCALPHA);
	sprite(texture, drawn->width, drawn->height, OBS_EFFECT_DEFAULT);
	obs.gs_blend_state_pop();
}

static bool is_hdr(struct block *block, void *target)
{
	static const int preferred[] = {GS_CS_SRGB, GS_CS_SRGB_16F, GS_CS_709_EXTENDED};
	int space = obs.obs_source_get_color_space(target, 3, preferred);
	bool found = space == GS_CS_709_EXTENDED || space == GS_CS_709_SCRGB;
	set(block, PROBLEM, found ? PROBLEM_HDR : 0);
	return found;
}

/* Copies the surface the GPU filled a tick ago to a slot and offers it. */
static void take_in(struct block *block, const struct layout *layout, void *surface, uint64_t now)
{
	uint8_t *pixels;
	uint32_t linesize;
	if (!obs.gs_stagesurface_map(surface, &pixels, &linesize))
		return;
	int index = input_slot(block);
	const struct plane *plane = &layout->planes[0];
	copy_rows(slot_of(layout, index), plane->stride, pixels, linesize, plane->stride, plane->rows);
	obs.gs_stagesurface_unmap(surface);
	meta_of(layout, index)->timestamp_ns = now;
	offer(block, layout, index, now);
}

/* Lets the GPU copy this picture out, and offers the one before: no waiting for the GPU. */
static void read_back(struct block *block, const struct layout *layout, uint64_t now)
{
	struct drawn *drawn = drawn_of(block);
	int writing = drawn->turn, reading = 1 - writing;
	obs.gs_stage_texture(drawn->surfaces[writing], obs.gs_texrender_get_texture(drawn->picture));
	drawn->staged[writing] = true;
	drawn->turn = (uint8_t)reading;
	if (drawn->staged[reading] && get(block, SHOWING))
		take_in(block, layout, drawn->surfaces[reading], now);
}

static void upload(struct drawn *drawn, const struct layout *layout, int choice)
{
	uint64_t sequence = meta_of(layout, choice)->sequence;
	if (sequence == drawn->uploaded)
		return;
	obs.gs_texture_set_image(drawn->result, slot_of(layout, choice), (uint32_t)layout->planes[0].stride,
				 false);
	drawn->uploaded = sequence;
}

static int exchange(struct block *block, const struct layout *layout)
{
	uint64_t now = clock_ns();
	read_back(block, layout, now);
	int choice = choose(block, layout, now);
	if (choice >= 0)
		upload(drawn_of(block), layout, choice);
	return choice;
}

/* One frame of the source: reads it back, offers it, and decides what is shown. */
static int process(struct block *block, void *target, void *parent)
{
	struct drawn *drawn = drawn_of(block);
	if (!prepare(drawn, target) || !render(drawn, target, parent))
		return HIDE;
	note_frame(block);
	const struct layout *layout = NULL;
	if (!is_hdr(block, target))
		layout = enter(block, key_of(FORMAT_BGRA, drawn->width, drawn->height));
	int choice = layout ? exchange(block, layout) : choose_without_slots(block);
	leave(block);
	if (choice == COVER)
		make_cover(drawn);
	return choice;
}

static void draw_choice(struct block *block)
{
	struct drawn *drawn = drawn_of(block);
	if (drawn->choice == RAW)
		obs.obs_source_skip_video_filter((void *)(uintptr_t)get(block, SOURCE));
	else if (drawn->choice == COVER)
		draw_whole(drawn, obs.gs_texrender_get_texture(drawn->cover));
	else if (drawn->choice != HIDE)
		draw_whole(drawn, drawn->result);
}

/* Draws what may be shown; called several times a tick, decides once. */
void draw(struct block *block, void *target, void *parent)
{
	uint64_t started = clock_ns();
	struct drawn *drawn = drawn_of(block);
	if (!drawn->is_decided) {
		drawn->is_decided = true;
		drawn->choice = process(block, target, parent);
	}
	draw_choice(block);
	note_callback(block, started);
}

/* Draws the cover of the filter's target, without any engine. */
void draw_cover(struct block *block, void *target, void *parent)
{
	struct drawn *drawn = drawn_of(block);
	if (!prepare(drawn, target) || !render(drawn, target, parent))
		return;
	make_cover(drawn);
	draw_whole(drawn, obs.gs_texrender_get_texture(drawn->cover));
}
