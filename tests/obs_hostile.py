"""Scripts that share OBS with the filter's and keep the interpreter, or take libobs's locks while they do."""

_THREAD = """
import threading
import obspython as obs

stop = threading.Event()

def run():
    while not stop.is_set():
        work()

def start(event=None):
    if event in (None, obs.OBS_FRONTEND_EVENT_FINISHED_LOADING):
        threading.Thread(target=run, daemon=True).start()

def script_load(settings):
    if FROM_THE_START:
        start()
    else:
        obs.obs_frontend_add_event_callback(start)

def script_unload():
    stop.set()
"""

NEVER_YIELDS = """
count = 0

def work():
    global count
    for _ in range(1_000_000):
        count += 1
"""

ASKS_FOR_THE_WIDTH = """
def work():
    source = obs.obs_get_source_by_name("Cam")
    if source is not None:
        for _ in range(1000):
            obs.obs_source_get_width(source)
            obs.obs_source_get_height(source)
        obs.obs_source_release(source)
"""

LISTS_SOURCES = """
def work():
    for name in ("Cam", "Picture"):
        obs.obs_source_release(obs.obs_get_source_by_name(name))
    sources = obs.obs_enum_sources()
    if sources is not None:
        for source in sources:
            obs.obs_source_filter_count(source)
        obs.source_list_release(sources)
"""

SCRIPTS = {
    "never yields": NEVER_YIELDS,
    "asks for the width": ASKS_FOR_THE_WIDTH,
    "lists sources": LISTS_SOURCES,
    "all of them": None,
}


def written(folder, chosen, from_the_start=False):
    """The scripts' files; a script's name must be no other module's."""
    names = [name for name in SCRIPTS if SCRIPTS[name]] if SCRIPTS[chosen] is None else [chosen]
    files = []
    for name in names:
        files.append(folder / f"hostile_{name.replace(' ', '_')}.py")
        files[-1].write_text(f"FROM_THE_START = {from_the_start}\n{_THREAD}{SCRIPTS[name]}")
    return files
