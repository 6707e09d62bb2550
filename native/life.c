/* Where a filter comes from: what libobs calls while it holds locks that a thread with Python's interpreter lock
 * may be waiting for. Python finds the new filters later and gives them an engine; until then they cover. */

#include "block.h"
#include "libobs.h"

#include <stdlib.h>
#include <string.h>

struct libobs obs;

static const char *const NAMES[] = {
#define NAME(result, name, arguments) #name,
	LIBOBS_FUNCTIONS(NAME)
#undef NAME
};

enum { FUNCTIONS = sizeof(NAMES) / sizeof(NAMES[0]), MOST_DEFAULTS = 128, KEY_BYTES = 64 };

/* The name of the function at a place of the table; NULL after the last one. */
EXPORT const char *obs_faceswap_function(uint32_t place)
{
	return place < FUNCTIONS ? NAMES[place] : NULL;
}

EXPORT void obs_faceswap_bind(uint32_t place, void *address)
{
	memcpy((char *)&obs + place * sizeof(void *), &address, sizeof(void *));
}

EXPORT const char *obs_faceswap_get_name(void *type_data)
{
	(void)type_data;
	return "Face Swap";
}

struct preset {
	char key[KEY_BYTES];
	char text[KEY_BYTES];
	double number;
	bool is_number;
};

static struct preset presets[MOST_DEFAULTS];
static size_t preset_count;

static struct preset *new_preset(const char *key)
{
	if (preset_count == MOST_DEFAULTS || strlen(key) >= KEY_BYTES)
		return NULL;
	struct preset *preset = &presets[preset_count++];
	strcpy(preset->key, key);
	return preset;
}

/* Forgets all defaults. They are declared before the type is registered. */
EXPORT void obs_faceswap_no_defaults(void)
{
	preset_count = 0;
}

/* Declares a setting's default; false where there is no room. */
EXPORT bool obs_faceswap_default_number(const char *key, double number)
{
	struct preset *preset = new_preset(key);
	if (preset) {
		preset->number = number;
		preset->is_number = true;
	}
	return preset;
}

EXPORT bool obs_faceswap_default_text(const char *key, const char *text)
{
	struct preset *preset = strlen(text) < KEY_BYTES ? new_preset(key) : NULL;
	if (preset) {
		strcpy(preset->text, text);
		preset->is_number = false;
	}
	return preset;
}

EXPORT void obs_faceswap_get_defaults(void *settings)
{
	for (size_t place = 0; place < preset_count; place++) {
		const struct preset *preset = &presets[place];
		if (preset->is_number)
			obs.obs_data_set_default_double(settings, preset->key, preset->number);
		else
			obs.obs_data_set_default_string(settings, preset->key, preset->text);
	}
}

/* Filters that Python has not seen yet, the youngest first. */
static struct block *_Atomic newborn;

/* What Python sleeps on until there are some. */
static struct block births;

/* Without a source it hides the picture and draws nothing; for when there is no memory for a filter. */
static struct block failed = {.words[POLICY] = POLICY_HIDE};

/* Blocks are never freed: whoever calls with the block of a filter that is gone finds one without a source. */
EXPORT struct block *obs_faceswap_create(void *settings, void *source)
{
	struct block *block = calloc(1, sizeof(*block));
	if (!block)
		return &failed;
	set(block, SOURCE, (uint64_t)(uintptr_t)source);
	set(block, POLICY, policy_of(settings));
	set(block, SHOWING, 1);
	block->next = atomic_load(&newborn);
	while (!atomic_compare_exchange_weak(&newborn, &block->next, block))
		;
	wake(&births);
	return block;
}

/* Python's part of a filter's end; NULL while there is no Python. */
static void (*_Atomic end_in_python)(struct block *block);

/* Called with NULL before Python ends: a source that somebody still holds then is destroyed by OBS later. */
EXPORT void obs_faceswap_ended_by(void (*end)(struct block *block))
{
	atomic_store(&end_in_python, end);
}

EXPORT void obs_faceswap_destroy(struct block *block)
{
	void (*end)(struct block *) = atomic_load(&end_in_python);
	if (end)
		end(block);
}

/* Takes one filter that was not taken before, or NULL. By one thread at a time. */
EXPORT struct block *obs_faceswap_newborn(void)
{
	struct block *first = atomic_load(&newborn);
	while (first && !atomic_compare_exchange_weak(&newborn, &first, first->next))
		;
	return first;
}

EXPORT struct block *obs_faceswap_births(void)
{
	return &births;
}
