/* The graphics thread's half of engine/live/exchange.py: the same decisions in the same order. */

#include "block.h"

static const uint64_t FREEZE_NS = 500000000u;

uint64_t key_of(int32_t format, uint32_t width, uint32_t height)
{
	return (uint64_t)format << 48 | (uint64_t)width << 24 | height;
}

/* The slots for a geometry, or NULL (and asks for them) while there are none; `leave` must follow. */
const struct layout *enter(struct block *block, uint64_t key)
{
	uint64_t at;
	do {
		at = get(block, LAYOUT_AT);
		set(block, LAYOUT_READ, at);
		atomic_thread_fence(memory_order_seq_cst);
	} while (get(block, LAYOUT_AT) != at);
	const struct layout *layout = (const struct layout *)(uintptr_t)at;
	if (layout && layout->key == key)
		return layout;
	set(block, WANTED, key);
	return NULL;
}

void leave(struct block *block)
{
	set(block, LAYOUT_READ, 0);
}

struct meta *meta_of(const struct layout *layout, int index)
{
	return (struct meta *)(uintptr_t)layout->metas_at + index;
}

uint8_t *slot_of(const struct layout *layout, int index)
{
	return (uint8_t *)(uintptr_t)layout->slots_at + (size_t)index * layout->slot_bytes;
}

void note_frame(struct block *block)
{
	set(block, FRAMES_IN, get(block, FRAMES_IN) + get(block, SHOWING));
}

void note_callback(struct block *block, uint64_t started_ns)
{
	uint64_t count = get(block, CALLBACKS);
	block->ring[count % RING] = clock_ns() - started_ns;
	set(block, CALLBACKS, count + 1);
}

int input_slot(struct block *block)
{
	atomic_thread_fence(memory_order_seq_cst); /* INPUT_NEWEST was stored; now look who reads */
	for (int index = 0; index < INPUT_SLOTS; index++) {
		uint64_t name = (uint64_t)index + 1;
		if (name != get(block, INPUT_NEWEST) && name != get(block, INPUT_READ_WORKER) &&
		    name != get(block, INPUT_READ_COVER))
			return index;
	}
	return 0; /* not reached: three of four are used at most */
}

void offer(struct block *block, const struct layout *layout, int index, uint64_t now_ns)
{
	uint64_t sequence = get(block, OFFERED) + 1;
	meta_of(layout, index)->sequence = sequence;
	meta_of(layout, index)->arrival_ns = now_ns;
	set(block, INPUT_NEWEST, (uint64_t)index + 1);
	set(block, OFFERED, sequence);
	wake(block);
}

static uint64_t ready_of(const struct layout *layout, int index)
{
	return atomic_load_explicit(&meta_of(layout, index)->ready, memory_order_acquire);
}

static int results_end(const struct layout *layout)
{
	return INPUT_SLOTS + (int)layout->results;
}

/* The newest result that is due, never older than the one before; -1: none. */
static int due_result(struct block *block, const struct layout *layout, uint64_t now_ns)
{
	uint64_t last = get(block, DUE), hold_ns = get(block, HOLD_NS), number = 0;
	int found = -1;
	for (int index = INPUT_SLOTS; index < results_end(layout); index++) {
		uint64_t ready = ready_of(layout, index);
		if (ready < last || ready <= number)
			continue;
		if (ready == last || meta_of(layout, index)->arrival_ns + hold_ns <= now_ns) {
			found = index;
			number = ready;
		}
	}
	if (found >= 0)
		set(block, DUE, number);
	return found;
}

/* Whether the next result, which waits for its time, follows the due one without a gap. */
static bool follows(struct block *block, const struct layout *layout, int due)
{
	if (due < 0 || !get(block, HOLD_NS))
		return false;
	uint64_t number = get(block, DUE), next = UINT64_MAX, gap_ns = 0;
	for (int index = INPUT_SLOTS; index < results_end(layout); index++) {
		uint64_t ready = ready_of(layout, index);
		if (ready > number && ready < next) {
			next = ready;
			gap_ns = meta_of(layout, index)->arrival_ns - meta_of(layout, due)->arrival_ns;
		}
	}
	return next == number + 1 || (next != UINT64_MAX && gap_ns <= get(block, BUDGET_NS));
}

/* Whether the engine keeps its promise: the due result is new, or no other one could be due. */
static bool keeps_up(struct block *block, const struct layout *layout, int due, uint64_t now_ns)
{
	uint64_t number = get(block, DUE), budget_ns = get(block, BUDGET_NS);
	if (number != get(block, DUE_SEEN) || number + 1 >= get(block, OFFERED) ||
	    follows(block, layout, due)) {
		set(block, DUE_SEEN, number);
		set(block, MOVED_NS, now_ns);
	}
	return budget_ns && now_ns - get(block, MOVED_NS) <= budget_ns;
}

static int counted(struct block *block, enum kind kind, int choice)
{
	if (get(block, SHOWING))
		count_up(block, FRAMES_SHOWN + (enum word)kind);
	return choice;
}

static int cover_or_hide(struct block *block)
{
	return get(block, POLICY) == POLICY_HIDE ? HIDE : COVER;
}

static int shown(struct block *block, const struct layout *layout, int result, uint64_t now_ns)
{
	const struct meta *meta = meta_of(layout, result);
	set(block, STALLED_NS, 0);
	if (meta->sequence != get(block, SHOWN)) {
		set(block, SHOWN, meta->sequence);
		set(block, DELAY_NS, now_ns - meta->arrival_ns);
	}
	bool is_hidden = meta->kind == COVERED && get(block, POLICY) == POLICY_HIDE;
	return counted(block, (enum kind)meta->kind, is_hidden ? HIDE : result);
}

/* Decides what is shown in place of the frame just offered: a slot's index, or an `enum choice`. */
int choose(struct block *block, const struct layout *layout, uint64_t now_ns)
{
	uint64_t policy = get(block, POLICY);
	int due = due_result(block, layout, now_ns), result = due;
	if (due >= 0 && meta_of(layout, due)->kind == ORIGINAL && policy != POLICY_ORIGINAL)
		result = -1; /* an earlier policy let it through */
	if (keeps_up(block, layout, due, now_ns) && result >= 0)
		return shown(block, layout, result, now_ns);
	if (!get(block, STALLED_NS) || !get(block, SHOWING))
		set(block, STALLED_NS, now_ns);
	if (policy == POLICY_ORIGINAL)
		return counted(block, ORIGINAL, RAW);
	if (result >= 0 && policy == POLICY_FREEZE_BLUR && now_ns - get(block, STALLED_NS) < FREEZE_NS)
		return counted(block, FROZEN, result);
	return counted(block, COVERED, cover_or_hide(block));
}

int choose_without_slots(struct block *block)
{
	if (get(block, POLICY) == POLICY_ORIGINAL)
		return counted(block, ORIGINAL, RAW);
	return counted(block, COVERED, cover_or_hide(block));
}
