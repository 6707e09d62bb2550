"""The filter's panel as OBS itself holds it: a second script tells what is in it and presses its buttons."""

import json

_SCRIPT = """
import json
import pathlib
import obspython as obs

folder = pathlib.Path({folder!r})

def choices(listed):
    count = obs.obs_property_list_item_count(listed)
    return [obs.obs_property_list_item_string(listed, number) for number in range(count)]

def answer(asked):
    source = obs.obs_get_source_by_name(asked["source"])
    worn = obs.obs_source_get_filter_by_name(source, asked["filter"])
    properties = obs.obs_source_properties(worn)
    found = obs.obs_properties_get(properties, asked["key"])
    if asked["press"]:
        result = obs.obs_property_button_clicked(found, worn)
    else:
        result = choices(found)
    obs.obs_properties_destroy(properties)
    obs.obs_source_release(worn)
    obs.obs_source_release(source)
    return result

def look():
    asked = folder / "asked.json"
    if asked.exists():
        result = answer(json.loads(asked.read_text()))
        asked.unlink()
        (folder / "unfinished").write_text(json.dumps(result))
        (folder / "unfinished").rename(folder / "answer.json")

def script_load(settings):
    obs.timer_add(look, 100)
"""


class Panel:
    """Speaks with the second script; give `script` to OBS beside the filter's own.

    Args:
        folder: an empty one, for the script and for what is asked and answered.
    """

    def __init__(self, folder):
        self._folder = folder
        self.script = folder / "panel_of_the_face_swap_filter.py"
        self.script.write_text(_SCRIPT.format(folder=str(folder)))

    def choices(self, obs, source, name, key):
        """The values of a list in the panel of a source's filter."""
        return self._ask(obs, source, name, key, press=False)

    def press(self, obs, source, name, key):
        """Presses a button of that panel."""
        return self._ask(obs, source, name, key, press=True)

    def _ask(self, obs, source, name, key, press):
        asked = {"source": source, "filter": name, "key": key, "press": press}
        unfinished = self._folder / "unfinished_question"
        unfinished.write_text(json.dumps(asked))
        unfinished.rename(self._folder / "asked.json")
        answer = self._folder / "answer.json"
        obs.wait_for(answer.exists, "the panel's answer", 30.0)
        result = json.loads(answer.read_text())
        answer.unlink()
        return result
