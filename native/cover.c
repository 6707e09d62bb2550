/* The cover of engine/live/cover.py, byte for byte, made in the frame itself: the picture reduced to so few columns
 * that nobody is known, and enlarged again. */

#include "block.h"

#include <string.h>

enum {
	COLUMNS = 24,
	MOST_CELL_ROWS = 128,
	ROWS_READ = 6,
	SAMPLES_READ = 8,
	BANDS = 180,
	PIECE = 12288, /* bytes of a row worked on at once: on the stack, and a multiple of every sample's */
};

/* One plane, and its cells' means: for each row of cells and byte of a sample, one for each column. */
struct picture {
	uint8_t *data;
	size_t pitch, samples, rows;
	int sample_bytes, cell_rows, columns;
	uint8_t means[MOST_CELL_ROWS][4][COLUMNS];
};

static int cell_rows_of(uint32_t width, uint32_t height)
{
	uint64_t cells = (uint64_t)COLUMNS * height, rows = cells / width, rest = cells % width * 2;
	rows += rest > width || (rest == width && rows % 2); /* Python rounds halves to even */
	return rows < 1 ? 1 : rows > MOST_CELL_ROWS ? MOST_CELL_ROWS : (int)rows;
}

/* The sum of one cell's part of a line: one byte of each of its samples. */
static unsigned strip_sum(const uint8_t *line, size_t from, size_t to, size_t apart)
{
	unsigned sum = 0;
	for (size_t place = from; place < to; place++)
		sum += line[place * apart];
	return sum;
}

/* The means of one row of cells, over lines `top` and every `apart`th one after it. */
static void reduce_row(struct picture *picture, int cell_row, size_t top, size_t apart, size_t lines)
{
	size_t sample = (size_t)picture->sample_bytes, step = picture->samples / (COLUMNS * SAMPLES_READ);
	step = step ? step : 1;
	size_t count = picture->samples / step;
	for (int byte = 0; byte < picture->sample_bytes; byte++) {
		for (int column = 0; column < picture->columns; column++) {
			size_t from = (size_t)column * count / (size_t)picture->columns;
			size_t to = ((size_t)column + 1) * count / (size_t)picture->columns;
			unsigned sum = 0;
			for (size_t line = 0; line < lines; line++) {
				const uint8_t *start = picture->data + (top + line * apart) * picture->pitch +
						       line * step / lines * sample + byte;
				sum += strip_sum(start, from, to, step * sample);
			}
			picture->means[cell_row][byte][column] = (uint8_t)(sum / ((to - from) * lines));
		}
	}
}

static void reduce(struct picture *picture)
{
	size_t step = picture->samples / (COLUMNS * SAMPLES_READ);
	size_t count = picture->samples / (step ? step : 1), cells = (size_t)picture->cell_rows;
	picture->columns = count < COLUMNS ? (int)count : COLUMNS;
	for (size_t row = 0; row < cells; row++) {
		size_t top = row * picture->rows / cells, bottom = (row + 1) * picture->rows / cells;
		size_t apart = (bottom - top + ROWS_READ - 1) / ROWS_READ;
		reduce_row(picture, (int)row, top, apart, (bottom - top + apart - 1) / apart);
	}
}

/* Gives two bytes of a sample, pixels of the same plane, one mean. */
static void share(struct picture *picture, int byte)
{
	for (int row = 0; row < picture->cell_rows; row++)
		for (int column = 0; column < picture->columns; column++) {
			uint8_t *one = &picture->means[row][byte][column];
			uint8_t *other = &picture->means[row][byte + 2][column];
			*one = *other = (uint8_t)((*one + *other) / 2);
		}
}

static size_t centre(const struct picture *picture, int column)
{
	return (2 * (size_t)column + 1) * picture->samples / (2 * (size_t)picture->columns);
}

static int floor_divide(int value, int by)
{
	return value >= 0 ? value / by : -((-value + by - 1) / by);
}

/* The values of a straight line over `length` samples, rounded down, from its sample `step` on. */
static void ramp(uint8_t *to, size_t apart, size_t count, int start, int rise, int length, int step)
{
	int value = floor_divide(rise * step, length), rest = rise * step - value * length;
	int whole = floor_divide(rise, length), more = rise - whole * length;
	for (size_t place = 0; place < count; place++) {
		to[place * apart] = (uint8_t)(start + value);
		value += whole;
		rest += more;
		if (rest >= length) {
			rest -= length;
			value++;
		}
	}
}

/* One byte of `count` samples of a row of cells enlarged, from sample `first` on: linear between centres. */
static void widen_byte(const struct picture *picture, const uint8_t *means, size_t first, size_t count,
		       uint8_t *row)
{
	size_t apart = (size_t)picture->sample_bytes, end = first + count, from = first;
	for (int column = -1; column < picture->columns && from < end; column++) {
		int last = picture->columns - 1, left = column < 0 ? 0 : column;
		size_t start = column < 0 ? 0 : centre(picture, column);
		size_t stop = column < last ? centre(picture, column + 1) : picture->samples;
		size_t to = stop < end ? stop : end;
		if (to <= from)
			continue;
		int rise = column < 0 || column == last ? 0 : means[column + 1] - means[column];
		ramp(row + (from - first) * apart, apart, to - from, means[left], rise, (int)(stop - start),
		     (int)(from - start));
		from = to;
	}
}

/* `count` samples of one row of cells enlarged, from sample `first` on. */
static void widen(const struct picture *picture, int cell_row, size_t first, size_t count, uint8_t *row)
{
	for (int byte = 0; byte < picture->sample_bytes; byte++)
		widen_byte(picture, picture->means[cell_row][byte], first, count, row + byte);
}

static void mix(uint8_t *mixed, const uint8_t *upper, const uint8_t *lower, unsigned part, size_t bytes)
{
	for (size_t at = 0; at < bytes; at++)
		mixed[at] = (uint8_t)((upper[at] * (256 - part) + lower[at] * part) >> 8);
}

/* Which row of cells has its centre before a position, and how far the next one's is on, 0..255. */
static int between(const struct picture *picture, double position, unsigned *part)
{
	double place = position * picture->cell_rows / (double)picture->rows - 0.5;
	place = place < 0.0 ? 0.0 : place;
	place = place > picture->cell_rows - 1.0 ? picture->cell_rows - 1.0 : place;
	*part = (unsigned)((place - (int)place) * 256);
	return (int)place;
}

/* Writes `count` samples of every row, from sample `first` on. */
static void enlarge(const struct picture *picture, size_t first, size_t count)
{
	uint8_t wide[2][PIECE], mixed[PIECE];
	int held = -1;
	size_t bytes = count * (size_t)picture->sample_bytes;
	size_t band = (picture->rows + BANDS - 1) / BANDS;
	uint8_t *to = picture->data + first * (size_t)picture->sample_bytes;
	for (size_t top = 0; top < picture->rows; top += band) {
		size_t height = band < picture->rows - top ? band : picture->rows - top;
		unsigned part;
		int upper = between(picture, (double)top + (double)height / 2, &part);
		if (upper != held) {
			int lower = upper + 1 < picture->cell_rows ? upper + 1 : upper;
			widen(picture, upper, first, count, wide[0]);
			widen(picture, lower, first, count, wide[1]);
			held = upper;
		}
		mix(mixed, wide[0], wide[1], part, bytes);
		for (size_t row = top; row < top + height; row++)
			memcpy(to + row * picture->pitch, mixed, bytes);
	}
}

static void cover_plane(struct picture *picture, int twin)
{
	reduce(picture);
	if (twin >= 0)
		share(picture, twin);
	size_t most = PIECE / (size_t)picture->sample_bytes;
	for (size_t first = 0; first < picture->samples; first += most) {
		size_t left = picture->samples - first;
		enlarge(picture, first, left < most ? left : most);
	}
}

/* Replaces a frame by its cover; false, and nothing done, where its format or its rows are not understood. */
bool cover(struct frame *frame)
{
	if (!is_swapped(frame->format) || !frame->width || !frame->height)
		return false;
	const struct format *format = &FORMATS[frame->format];
	struct picture pictures[3]; /* looked at before anything is written */
	for (int number = 0; number < format->planes; number++) {
		const struct plane_format *plane = &format->plane[number];
		struct picture *picture = &pictures[number];
		picture->data = frame->data[number];
		picture->pitch = frame->linesize[number];
		picture->samples = (frame->width + plane->x_step - 1) / plane->x_step;
		picture->rows = (frame->height + plane->y_step - 1) / plane->y_step;
		picture->sample_bytes = plane->sample_bytes;
		picture->cell_rows = cell_rows_of(frame->width, frame->height);
		if (picture->cell_rows > (int)picture->rows)
			picture->cell_rows = (int)picture->rows;
		if (!picture->data || picture->pitch < picture->samples * plane->sample_bytes)
			return false;
	}
	for (int number = 0; number < format->planes; number++)
		cover_plane(&pictures[number], format->twin);
	return true;
}
