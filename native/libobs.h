/* The functions of libobs that are called. Python knows where they are and fills the table. */

#ifndef OBS_FACESWAP_LIBOBS_H
#define OBS_FACESWAP_LIBOBS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LIBOBS_FUNCTIONS(X)                                                                         \
	X(const char *, obs_data_get_string, (void *, const char *))                                \
	X(void, obs_data_set_default_double, (void *, const char *, double))                        \
	X(void, obs_data_set_default_string, (void *, const char *, const char *))                  \
	X(void *, obs_filter_get_parent, (const void *))                                            \
	X(void *, obs_filter_get_target, (const void *))                                            \
	X(bool, obs_source_showing, (const void *))                                                 \
	X(bool, obs_source_enabled, (const void *))                                                 \
	X(const char *, obs_source_get_name, (const void *))                                        \
	X(uint32_t, obs_source_get_output_flags, (const void *))                                    \
	X(void, obs_source_skip_video_filter, (void *))                                             \
	X(uint32_t, obs_source_get_base_width, (void *))                                            \
	X(uint32_t, obs_source_get_base_height, (void *))                                           \
	X(int, obs_source_get_color_space, (void *, size_t, const int *))                           \
	X(void, obs_source_default_render, (void *))                                                \
	X(void, obs_source_video_render, (void *))                                                  \
	X(void *, obs_get_base_effect, (int))                                                       \
	X(void *, gs_texrender_create, (int, int))                                                  \
	X(void, gs_texrender_destroy, (void *))                                                     \
	X(void, gs_texrender_reset, (void *))                                                       \
	X(bool, gs_texrender_begin, (void *, uint32_t, uint32_t))                                   \
	X(void, gs_texrender_end, (void *))                                                         \
	X(void *, gs_texrender_get_texture, (const void *))                                         \
	X(void *, gs_stagesurface_create, (uint32_t, uint32_t, int))                                \
	X(void, gs_stagesurface_destroy, (void *))                                                  \
	X(bool, gs_stagesurface_map, (void *, uint8_t **, uint32_t *))                              \
	X(void, gs_stagesurface_unmap, (void *))                                                    \
	X(void, gs_stage_texture, (void *, void *))                                                 \
	X(void *, gs_texture_create, (uint32_t, uint32_t, int, uint32_t, const uint8_t **, uint32_t)) \
	X(void, gs_texture_destroy, (void *))                                                       \
	X(void, gs_texture_set_image, (void *, const uint8_t *, uint32_t, bool))                    \
	X(void, gs_clear, (uint32_t, const void *, float, uint8_t))                                 \
	X(void, gs_ortho, (float, float, float, float, float, float))                               \
	X(void, gs_blend_state_push, (void))                                                        \
	X(void, gs_blend_state_pop, (void))                                                         \
	X(void, gs_blend_function, (int, int))                                                      \
	X(void, gs_blend_function_separate, (int, int, int, int))                                   \
	X(void *, gs_effect_get_param_by_name, (const void *, const char *))                        \
	X(void, gs_effect_set_texture, (void *, void *))                                            \
	X(bool, gs_effect_loop, (void *, const char *))                                             \
	X(void, gs_draw_sprite, (void *, uint32_t, uint32_t, uint32_t))

struct libobs {
#define MEMBER(result, name, arguments) result(*name) arguments;
	LIBOBS_FUNCTIONS(MEMBER)
#undef MEMBER
};

extern struct libobs obs;

enum { OBS_SOURCE_ASYNC = 1 << 2, OBS_SOURCE_CUSTOM_DRAW = 1 << 3 };

#endif
