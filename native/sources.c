/* The names of OBS's audio sources. libobs calls this with its list of sources locked: Python must not be. */

#include "block.h"
#include "libobs.h"

#include <string.h>

enum { OBS_SOURCE_AUDIO = 1 << 1 };

struct names {
	uint64_t used, room; /* bytes of text */
	char text[];
};

/* For obs_enum_sources; `param` is a struct names. Each name ends with its zero byte. */
EXPORT bool obs_faceswap_collect(void *param, void *source)
{
	struct names *names = param;
	const char *name = obs.obs_source_get_name(source);
	if (!name || !(obs.obs_source_get_output_flags(source) & OBS_SOURCE_AUDIO))
		return true;
	size_t bytes = strlen(name) + 1;
	if (bytes > names->room - names->used)
		return false;
	memcpy(names->text + names->used, name, bytes);
	names->used += bytes;
	return true;
}
