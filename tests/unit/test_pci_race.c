/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * virtio-pci: events on loop threads and register accesses on vCPU threads at the same time. No
 * event may be lost, and what the VMM was told last must be how things are. The other half of the
 * proof is ThreadSanitizer's.
 */

#include <sys/eventfd.h>
#include <unistd.h>

#include "pci_fixture.h"

/* A race goes on until each side had its share. */
#define ROUNDS 20000
#define LAPS   2000

struct racer {
	struct fx *f;
	_Atomic bool stop;
	_Atomic unsigned laps;
	unsigned seed;
};

/* Masks and unmasks vector 1 in every way there is. */
static void *toggle_masks(void *arg)
{
	struct racer *r = arg;
	struct fx *f = r->f;

	for (; !r->stop; r->laps++) {
		fx_vector_mask(f, 1, true);
		fx_vector_message(f, 1, 0xfee02000, 0x4abc);
		fx_vector_mask(f, 1, false);
		fx_msix_control(f, PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL);
		fx_msix_control(f, PCI_MSIX_FLAGS_ENABLE);
		fx_command(f, PCI_COMMAND_MEMORY);
		fx_command(f, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	}
	return NULL;
}

/* Waits until vector 1 had `n` messages, or it took far too long. */
static bool wait_for(struct fx *f, unsigned n)
{
	for (unsigned i = 0; i < 20000000; i++) {
		if (f->n_msi[1] >= n)
			return true;
		sched_yield();
	}
	return false;
}

/* Every event is delivered exactly once, whatever the vector does meanwhile. */
static void test_race_mask(void)
{
	struct fx *f = fx_new();
	struct racer r = {.f = f};
	unsigned n;
	pthread_t thread;

	f->slow = true;
	fx_msix_on(f);
	fx_map_queue(f, 0, 1);
	pthread_create(&thread, NULL, toggle_masks, &r);
	for (n = 0; n < ROUNDS || r.laps < LAPS; n++) {
		fx_queue_event(f, 0);
		CU_ASSERT_FATAL(wait_for(f, n + 1));
	}
	r.stop = true;
	pthread_join(thread, NULL);
	CU_ASSERT_EQUAL(f->n_msi[1], n);
	CU_ASSERT_FALSE(fx_pending(f, 1));
	CU_ASSERT_EQUAL(f->n_intx, 0);
	fx_free(f);
}

/* The same with an eventfd that comes and goes. */
static void test_race_fd(void)
{
	struct fx *f = fx_new();
	const int fd = eventfd(0, EFD_NONBLOCK);
	struct racer r = {.f = f};
	uint64_t n = 0;
	unsigned i;
	pthread_t thread;

	f->slow = true;
	fx_msix_on(f);
	fx_map_queue(f, 0, 1);
	pthread_create(&thread, NULL, toggle_masks, &r);
	for (i = 1; i <= ROUNDS || r.laps < LAPS; i++) {
		unsigned spins = 0;

		vio_pci_set_vector_fd(f->pci, 1, i % 3 ? fd : -1);
		fx_queue_event(f, 0);
		while (n + f->n_msi[1] < i && spins++ < 20000000) {
			n += take(fd);
			sched_yield();
		}
		CU_ASSERT_FATAL(n + f->n_msi[1] >= i);
	}
	r.stop = true;
	pthread_join(thread, NULL);
	CU_ASSERT_EQUAL(n + f->n_msi[1], i - 1);
	fx_free(f);
	close(fd);
}

/* Reads the ISR and flips Interrupt Disable. */
static void *toggle_intx(void *arg)
{
	struct racer *r = arg;
	uint32_t seen = 0;

	for (; !r->stop; r->laps++) {
		seen |= isr_get(r->f);
		fx_command(r->f, PCI_COMMAND_INTX_DISABLE);
		(void)interrupt_status(r->f);
		fx_command(r->f, 0);
	}
	CU_ASSERT_EQUAL(seen & ~3u, 0);
	return NULL;
}

/* Levels alternate, and the last one is what the ISR says. */
static void test_race_intx(void)
{
	struct fx *f = fx_new();
	struct racer r = {.f = f};
	pthread_t thread;

	f->slow = true;
	pthread_create(&thread, NULL, toggle_intx, &r);
	for (unsigned i = 0; i < ROUNDS || r.laps < LAPS; i++) {
		fx_queue_event(f, 0);
		if (i % 5 == 0)
			fx_config_event(f);
	}
	r.stop = true;
	pthread_join(thread, NULL);
	CU_ASSERT_EQUAL(f->intx_out_of_order, 0);
	CU_ASSERT_EQUAL(f->overlaps, 0);
	CU_ASSERT_EQUAL(f->level, interrupt_status(f));
	(void)isr_get(f);
	CU_ASSERT_FALSE(f->level);
	fx_queue_event(f, 0);
	CU_ASSERT_TRUE(f->level);
	fx_free(f);
}

static void *toggle_bars(void *arg)
{
	struct racer *r = arg;

	for (unsigned i = 0; i < ROUNDS; i++) {
		cfg_set(r->f, PCI_BASE_ADDRESS_0, 4, r->seed + i * 0x10000u);
		fx_command(r->f, i % 3 ? PCI_COMMAND_MEMORY : 0);
	}
	return NULL;
}

/* Two vCPUs move the same BAR: in the end the VMM knows where it is. */
static void test_race_bars(void)
{
	struct fx *f = fx_new();
	struct racer a = {.f = f, .seed = 0x10000000};
	struct racer b = {.f = f, .seed = 0x80000000};
	uint64_t at = 0;
	pthread_t thread;

	f->slow = true;
	pthread_create(&thread, NULL, toggle_bars, &a);
	toggle_bars(&b);
	pthread_join(thread, NULL);
	CU_ASSERT_EQUAL(f->overlaps, 0);
	CU_ASSERT_EQUAL(vio_pci_bar(f->pci, 0, &at), f->bar_enabled[0]);
	if (f->bar_enabled[0])
		CU_ASSERT_EQUAL(at, f->bar_address[0]);
	fx_free(f);
}

static void *toggle_messages(void *arg)
{
	struct racer *r = arg;

	for (unsigned i = 0; i < ROUNDS; i++) {
		fx_vector_message(r->f, 1, 0xfee00000 + r->seed, r->seed + i);
		fx_vector_mask(r->f, 1, i % 5 == 0);
	}
	return NULL;
}

/* Two vCPUs program the same vector: in the end the VMM has what the table says. */
static void test_race_messages(void)
{
	struct fx *f = fx_new();
	struct racer a = {.f = f, .seed = 0x1000};
	struct racer b = {.f = f, .seed = 0x2000000};
	pthread_t thread;

	f->slow = true;
	fx_msix_on(f);
	pthread_create(&thread, NULL, toggle_messages, &a);
	toggle_messages(&b);
	pthread_join(thread, NULL);
	CU_ASSERT_EQUAL(f->overlaps, 0);
	CU_ASSERT_EQUAL(f->vector[1].masked, bar_get(f, 1, 16 + 12, 4));
	if (!f->vector[1].masked) {
		CU_ASSERT_EQUAL(f->vector[1].address, bar_get(f, 1, 16, 8));
		CU_ASSERT_EQUAL(f->vector[1].data, bar_get(f, 1, 16 + 8, 4));
	}
	fx_free(f);
}

/* A driver that does everything at once, on any register. */
static void *hammer(void *arg)
{
	struct racer *r = arg;
	struct fx *f = r->f;
	unsigned seed = r->seed;

	for (; !r->stop; r->laps++) {
		const unsigned what = (unsigned)rand_r(&seed);
		const unsigned v = (unsigned)rand_r(&seed);
		const uint32_t off = v >> 8 & 0xff;

		switch (what % 8) {
		case 0:
			cfg_set(f, off & 0xfc, 4, v * 0x9e3779b9u);
			break;
		case 1:
			(void)cfg_get(f, off & 0xfc, 4);
			break;
		case 2:
			bar_set(f, 1, v % 80 & ~3u, 4, what >> 3);
			break;
		case 3:
			com_set(f, off % 60, 2, v % 6);
			break;
		case 4:
			(void)bar_get(f, v % 3, off * 16, 4);
			break;
		case 5:
			fx_status(f, v % 16 ? 15 : 0);
			break;
		case 6:
			fx_negotiate(f, UINT64_C(1) << VIRTIO_F_RING_RESET);
			fx_place_queue(f, v % 4);
			break;
		default:
			fx_command(f, v & 7);
			break;
		}
	}
	return NULL;
}

/* Nothing to assert but that it ends, for ThreadSanitizer and AddressSanitizer. */
static void test_race_everything(void)
{
	struct fx *f = fx_new();
	struct racer r[2] = {{.f = f, .seed = 1}, {.f = f, .seed = 2}};
	pthread_t thread[2];

	for (unsigned i = 0; i < 2; i++)
		pthread_create(&thread[i], NULL, hammer, &r[i]);
	for (unsigned i = 0; i < ROUNDS || r[0].laps < 50 * LAPS; i++) {
		fx_queue_event(f, (uint16_t)(i % FX_QUEUES));
		if (i % 7 == 0)
			vio_device_config_update(&f->dev, 1, &(uint8_t){(uint8_t)i}, 1);
	}
	for (unsigned i = 0; i < 2; i++)
		r[i].stop = true;
	for (unsigned i = 0; i < 2; i++)
		pthread_join(thread[i], NULL);
	CU_ASSERT_EQUAL(f->intx_out_of_order, 0);
	CU_ASSERT_EQUAL(f->overlaps, 0);
	fx_free(f);
}

static CU_TestInfo tests[] = {
	{"no event is lost while masks change", test_race_mask},
	{"no event is lost while eventfds change", test_race_fd},
	{"INTx in order", test_race_intx},
	{"BARs in order", test_race_bars},
	{"vectors in order", test_race_messages},
	{"everything at once", test_race_everything},
	CU_TEST_INFO_NULL,
};

int main(void)
{
	return suite_run("pci races", tests);
}
