/* What differs between systems: the clock, sleeping, and waking a thread without ever waiting for it. */

#define _GNU_SOURCE
#include "block.h"

/* The word a sleeper watches is the low half of WAKE: the first four bytes on every machine there is. */
static uint32_t *watched(struct block *block)
{
	return (uint32_t *)(void *)&block->words[WAKE];
}

static uint32_t wakes(struct block *block)
{
	return (uint32_t)get(block, WAKE);
}

#ifdef _WIN32

#include <windows.h>

uint64_t clock_ns(void)
{
	LARGE_INTEGER now, rate;
	QueryPerformanceCounter(&now);
	QueryPerformanceFrequency(&rate);
	uint64_t ticks = (uint64_t)now.QuadPart, hertz = (uint64_t)rate.QuadPart;
	return ticks / hertz * 1000000000u + ticks % hertz * 1000000000u / hertz;
}

static void doze(uint64_t nanoseconds)
{
	Sleep((DWORD)(nanoseconds / 1000000u));
}

static void watch(uint32_t *word, uint32_t seen, uint64_t nanoseconds)
{
	WaitOnAddress(word, &seen, sizeof(seen), (DWORD)(nanoseconds / 1000000u + 1));
}

static void rouse(uint32_t *word)
{
	WakeByAddressAll(word);
}

#else

#include <time.h>

#ifdef __APPLE__

#include <mach/mach_time.h>

uint64_t clock_ns(void)
{
	static mach_timebase_info_data_t base;
	if (!base.denom)
		mach_timebase_info(&base);
	return mach_absolute_time() * base.numer / base.denom;
}

/* What the C++ library waits with on every macOS; no header declares them. */
extern int __ulock_wait(uint32_t operation, void *address, uint64_t value, uint32_t microseconds);
extern int __ulock_wake(uint32_t operation, void *address, uint64_t value);
enum { COMPARE_AND_WAIT = 1, WAKE_ALL = 0x100 };

static void watch(uint32_t *word, uint32_t seen, uint64_t nanoseconds)
{
	__ulock_wait(COMPARE_AND_WAIT, word, seen, (uint32_t)(nanoseconds / 1000u + 1));
}

static void rouse(uint32_t *word)
{
	__ulock_wake(COMPARE_AND_WAIT | WAKE_ALL, word, 0);
}

#else

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

uint64_t clock_ns(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void watch(uint32_t *word, uint32_t seen, uint64_t nanoseconds)
{
	struct timespec most = {(time_t)(nanoseconds / 1000000000u), (long)(nanoseconds % 1000000000u)};
	syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, seen, &most, NULL, 0);
}

static void rouse(uint32_t *word)
{
	syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, 0x7FFFFFFF, NULL, NULL, 0);
}

#endif

static void doze(uint64_t nanoseconds)
{
	struct timespec length = {(time_t)(nanoseconds / 1000000000u), (long)(nanoseconds % 1000000000u)};
	nanosleep(&length, NULL);
}

#endif

void sleep_until(uint64_t at_ns)
{
	for (uint64_t now = clock_ns(); now < at_ns; now = clock_ns())
		doze(at_ns - now);
}

void wake(struct block *block)
{
	atomic_fetch_add(&block->words[WAKE], 1);
	rouse(watched(block));
}

EXPORT void obs_faceswap_wake(struct block *block)
{
	wake(block);
}

/* Sleeps until somebody woke the block since WAKE was `seen`; returns what WAKE is then. */
EXPORT uint32_t obs_faceswap_wait(struct block *block, uint32_t seen, uint64_t timeout_ns)
{
	uint64_t now = clock_ns(), until = now + timeout_ns;
	while (wakes(block) == seen && now < until) {
		watch(watched(block), seen, until - now);
		now = clock_ns();
	}
	return wakes(block);
}

EXPORT uint64_t obs_faceswap_clock(void)
{
	return clock_ns();
}

/* For Python, whose loads and stores are plain ones. */
EXPORT void obs_faceswap_fence(void)
{
	atomic_thread_fence(memory_order_seq_cst);
}

#ifndef SOURCES
#define SOURCES "unknown"
#endif

/* A hash of the sources it was built from. */
EXPORT const char *obs_faceswap_sources(void)
{
	return SOURCES;
}
