/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * virtio-pci: ISR, INTx and MSI-X. Names in comments are rows of the requirement list.
 */

#include <sys/eventfd.h>
#include <unistd.h>

#include "pci_fixture.h"

#define ISR_QUEUE  1
#define ISR_CONFIG 2

/* ---- INTx ------------------------------------------------------------------------------------ */

/* PCI-DEV-048 to 051, 082 */
static void test_isr(void)
{
	struct fx *f = fx_new();

	CU_ASSERT_EQUAL(isr_get(f), 0);
	CU_ASSERT_FALSE(interrupt_status(f));
	fx_queue_event(f, 1);
	CU_ASSERT_TRUE(f->level);
	CU_ASSERT_TRUE(interrupt_status(f));
	CU_ASSERT_TRUE(cfg_get(f, PCI_COMMAND, 4) & (uint32_t)PCI_STATUS_INTERRUPT << 16);
	CU_ASSERT_TRUE(cfg_get(f, PCI_STATUS, 1) & PCI_STATUS_INTERRUPT);
	CU_ASSERT_FALSE(cfg_get(f, PCI_STATUS + 1, 1) & PCI_STATUS_INTERRUPT);
	fx_config_event(f);
	fx_queue_event(f, 0);
	CU_ASSERT_EQUAL(f->n_intx, 1); /* one rise for all */
	CU_ASSERT_EQUAL(isr_get(f), ISR_QUEUE | ISR_CONFIG);
	CU_ASSERT_FALSE(f->level);
	CU_ASSERT_FALSE(interrupt_status(f));
	CU_ASSERT_EQUAL(isr_get(f), 0);
	fx_config_event(f);
	CU_ASSERT_EQUAL(bar_get(f, 0, fx_at(f, VIRTIO_PCI_CAP_ISR_CFG, 0), 4), ISR_CONFIG);
	CU_ASSERT_EQUAL(f->n_intx, 4);
	CU_ASSERT_EQUAL(f->intx_out_of_order, 0);
	fx_free(f);
}

/* PCI-DEV-001: Interrupt Disable silences the line, not the status bit. */
static void test_interrupt_disable(void)
{
	struct fx *f = fx_new();

	fx_command(f, PCI_COMMAND_INTX_DISABLE);
	fx_queue_event(f, 0);
	CU_ASSERT_FALSE(f->level);
	CU_ASSERT_TRUE(interrupt_status(f));
	fx_command(f, 0);
	CU_ASSERT_TRUE(f->level);
	fx_command(f, PCI_COMMAND_INTX_DISABLE);
	CU_ASSERT_FALSE(f->level);
	CU_ASSERT_EQUAL(isr_get(f), ISR_QUEUE);
	fx_command(f, 0);
	CU_ASSERT_FALSE(f->level);
	fx_free(f);
}

/* PCI-DEV-048, PCI-IMP-007: with MSI-X a configuration event still sets its bit; no line moves. */
static void test_isr_with_msix(void)
{
	struct fx *f = fx_new();

	fx_queue_event(f, 0);
	CU_ASSERT_TRUE(f->level);
	fx_msix_on(f);
	CU_ASSERT_FALSE(f->level);
	CU_ASSERT_FALSE(interrupt_status(f));
	CU_ASSERT_EQUAL(isr_get(f), ISR_QUEUE);
	fx_queue_event(f, 0);
	CU_ASSERT_EQUAL(isr_get(f), 0);
	fx_config_event(f);
	CU_ASSERT_FALSE(f->level);
	CU_ASSERT_FALSE(interrupt_status(f));
	CU_ASSERT_EQUAL(isr_get(f), ISR_CONFIG);
	fx_config_event(f);
	fx_msix_control(f, 0); /* back to INTx: the bit counts again */
	CU_ASSERT_TRUE(f->level);
	CU_ASSERT_TRUE(interrupt_status(f));
	fx_free(f);
}

static void test_intx_reset(void)
{
	struct fx *f = fx_new();

	fx_config_event(f);
	CU_ASSERT_TRUE(f->level);
	fx_status(f, 0);
	CU_ASSERT_FALSE(f->level);
	CU_ASSERT_EQUAL(isr_get(f), 0);
	fx_config_event(f);
	vio_pci_reset(f->pci);
	CU_ASSERT_FALSE(f->level);
	fx_free(f);
}

static void test_intx_fd(void)
{
	struct fx *f = fx_new();
	const int fd = eventfd(0, EFD_NONBLOCK);

	vio_pci_intx_resample(f->pci);
	vio_pci_set_intx_fd(f->pci, fd);
	vio_pci_intx_resample(f->pci);
	CU_ASSERT_EQUAL(take(fd), 0);
	fx_queue_event(f, 0);
	fx_queue_event(f, 1);
	CU_ASSERT_EQUAL(take(fd), 1);
	CU_ASSERT_TRUE(f->level);
	vio_pci_intx_resample(f->pci); /* end of interrupt, and nobody read the ISR */
	CU_ASSERT_EQUAL(take(fd), 1);
	(void)isr_get(f);
	vio_pci_intx_resample(f->pci);
	CU_ASSERT_EQUAL(take(fd), 0);
	vio_pci_set_intx_fd(f->pci, -1);
	fx_queue_event(f, 0);
	CU_ASSERT_EQUAL(take(fd), 0);
	vio_pci_set_intx_fd(f->pci, fd); /* the line is up already */
	CU_ASSERT_EQUAL(take(fd), 1);
	fx_free(f);
	close(fd);
}

/* ---- vectors --------------------------------------------------------------------------------- */

/* PCI-DEV-075 to 080 */
static void test_mapping(void)
{
	struct fx *f = fx_new();

	CU_ASSERT_EQUAL(com_get(f, VIRTIO_PCI_COMMON_MSIX, 2), NO_VECTOR);
	for (uint16_t v = 0; v < FX_VECTORS; v++) {
		com_set(f, VIRTIO_PCI_COMMON_MSIX, 2, v);
		CU_ASSERT_EQUAL(com_get(f, VIRTIO_PCI_COMMON_MSIX, 2), v);
		for (uint16_t q = 0; q < FX_QUEUES; q++) {
			fx_map_queue(f, q, v);
			CU_ASSERT_EQUAL(com_get(f, VIRTIO_PCI_COMMON_Q_MSIX, 2), v);
		}
	}
	for (uint32_t v = FX_VECTORS; v < 0x10000; v = v * 2 + 1) {
		com_set(f, VIRTIO_PCI_COMMON_MSIX, 2, 0);
		com_set(f, VIRTIO_PCI_COMMON_MSIX, 2, v);
		CU_ASSERT_EQUAL(com_get(f, VIRTIO_PCI_COMMON_MSIX, 2), NO_VECTOR);
		fx_map_queue(f, 1, 0);
		fx_map_queue(f, 1, (uint16_t)v);
		CU_ASSERT_EQUAL(com_get(f, VIRTIO_PCI_COMMON_Q_MSIX, 2), NO_VECTOR);
	}
	fx_free(f);
}

static unsigned total(struct fx *f)
{
	unsigned n = 0;

	for (unsigned v = 0; v < FX_VECTORS; v++)
		n += f->n_msi[v];
	return n;
}

/* PCI-DEV-075, 081, 083 */
static void test_delivery(void)
{
	struct fx *f = fx_new();

	fx_msix_on(f);
	fx_queue_event(f, 0);
	fx_config_event(f);
	CU_ASSERT_EQUAL(total(f), 0); /* nothing is mapped */
	CU_ASSERT_EQUAL(f->n_intx, 0);
	fx_map_queue(f, 0, 3);
	fx_queue_event(f, 0);
	CU_ASSERT_EQUAL(f->n_msi[3], 1);
	CU_ASSERT_EQUAL(f->msi_address, 0xfee03000);
	CU_ASSERT_EQUAL(f->msi_data, 0x4003);
	fx_map_queue(f, 1, 3); /* shared */
	com_set(f, VIRTIO_PCI_COMMON_MSIX, 2, 3);
	fx_queue_event(f, 1);
	fx_config_event(f);
	CU_ASSERT_EQUAL(f->n_msi[3], 3);
	fx_map_queue(f, 0, NO_VECTOR);
	fx_queue_event(f, 0);
	com_set(f, VIRTIO_PCI_COMMON_MSIX, 2, NO_VECTOR);
	fx_config_event(f);
	CU_ASSERT_EQUAL(total(f), 3);
	CU_ASSERT_EQUAL(f->n_intx, 0);
	fx_free(f);
}

static void test_vector_mask(void)
{
	struct fx *f = fx_new();

	fx_msix_on(f);
	fx_map_queue(f, 0, 2);
	fx_vector_mask(f, 2, true);
	CU_ASSERT_TRUE(f->vector[2].masked);
	fx_queue_event(f, 0);
	fx_queue_event(f, 0);
	CU_ASSERT_EQUAL(total(f), 0);
	CU_ASSERT_TRUE(fx_pending(f, 2));
	CU_ASSERT_FALSE(fx_pending(f, 1));
	fx_vector_message(f, 2, 0x1fee00000, 0x77);
	CU_ASSERT_EQUAL(f->n_vector_changed[2], 2); /* unmasked, masked: messages do not matter */
	fx_vector_mask(f, 2, false);
	CU_ASSERT_EQUAL(f->n_msi[2], 1);
	CU_ASSERT_EQUAL(f->msi_address, 0x1fee00000);
	CU_ASSERT_EQUAL(f->msi_data, 0x77);
	CU_ASSERT_FALSE(fx_pending(f, 2));
	CU_ASSERT_FALSE(f->vector[2].masked);
	CU_ASSERT_EQUAL(f->vector[2].address, 0x1fee00000);
	fx_vector_mask(f, 2, true);
	fx_vector_mask(f, 2, false);
	CU_ASSERT_EQUAL(total(f), 1);
	fx_free(f);
}

/* The function mask, MSI-X Enable and Bus Master hold everything back, and let it go again. */
static void test_function_mask(void)
{
	struct fx *f = fx_new();

	fx_msix_on(f);
	fx_map_queue(f, 0, 0);
	fx_map_queue(f, 1, 4);
	fx_msix_control(f, PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL);
	fx_queue_event(f, 0);
	fx_queue_event(f, 1);
	fx_vector_mask(f, 4, true);
	CU_ASSERT_EQUAL(total(f), 0);
	CU_ASSERT_TRUE(f->vector[0].masked);
	fx_msix_control(f, PCI_MSIX_FLAGS_ENABLE);
	CU_ASSERT_EQUAL(f->n_msi[0], 1);
	CU_ASSERT_EQUAL(f->n_msi[4], 0);
	fx_vector_mask(f, 4, false);
	CU_ASSERT_EQUAL(f->n_msi[4], 1);
	fx_command(f, PCI_COMMAND_MEMORY);
	fx_queue_event(f, 0);
	CU_ASSERT_EQUAL(f->n_msi[0], 1);
	CU_ASSERT_TRUE(fx_pending(f, 0));
	CU_ASSERT_EQUAL(f->n_intx, 0);
	fx_command(f, PCI_COMMAND_MASTER);
	CU_ASSERT_EQUAL(f->n_msi[0], 2);
	fx_msix_control(f, 0);
	CU_ASSERT_TRUE(f->vector[0].masked);
	fx_free(f);
}

/* What the VMM hears of a vector, and that a message change is seen whole. */
static void test_vector_changed(void)
{
	struct fx *f = fx_new();

	fx_msix_on(f);
	CU_ASSERT_EQUAL(f->n_vector_changed[1], 1);
	CU_ASSERT_EQUAL(f->vector[1].address, 0xfee01000);
	CU_ASSERT_EQUAL(f->vector[1].data, 0x4001);
	CU_ASSERT_FALSE(f->vector[1].masked);
	bar_set(f, 1, 16 + PCI_MSIX_ENTRY_DATA, 4, 0x4999); /* unmasked: at once */
	CU_ASSERT_EQUAL(f->n_vector_changed[1], 2);
	CU_ASSERT_EQUAL(f->vector[1].data, 0x4999);
	bar_set(f, 1, 16 + PCI_MSIX_ENTRY_DATA, 4, 0x4999);
	fx_vector_mask(f, 1, false);
	fx_command(f, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER | PCI_COMMAND_SERR);
	CU_ASSERT_EQUAL(f->n_vector_changed[1], 2);
	fx_free(f);
}

static void fire_inside_hook(struct fx *f, uint16_t vector)
{
	if (vector == 2 && !f->vector[2].masked) {
		const unsigned before = f->n_msi[2];

		fx_queue_event(f, 0);
		CU_ASSERT_EQUAL(f->n_msi[2], before); /* the route is not in place yet */
	}
}

/* An event while the VMM learns of a route goes out after it. */
static void test_event_during_change(void)
{
	struct fx *f = fx_new();

	fx_msix_on(f);
	fx_map_queue(f, 0, 2);
	f->on_vector = fire_inside_hook;
	fx_vector_mask(f, 2, true);
	fx_vector_mask(f, 2, false);
	CU_ASSERT_EQUAL(f->n_msi[2], 1);
	bar_set(f, 1, 32 + PCI_MSIX_ENTRY_DATA, 4, 0x5555);
	CU_ASSERT_EQUAL(f->n_msi[2], 2);
	CU_ASSERT_EQUAL(f->msi_data, 0x5555);
	fx_free(f);
}

static void test_vector_fd(void)
{
	struct fx *f = fx_new();
	const int fd = eventfd(0, EFD_NONBLOCK);

	CU_ASSERT_EQUAL(vio_pci_set_vector_fd(f->pci, 1, fd), 0);
	CU_ASSERT_NOT_EQUAL(vio_pci_set_vector_fd(f->pci, FX_VECTORS, fd), 0);
	fx_msix_on(f);
	fx_map_queue(f, 0, 1);
	fx_queue_event(f, 0);
	fx_queue_event(f, 0);
	CU_ASSERT_EQUAL(take(fd), 2);
	fx_vector_mask(f, 1, true);
	fx_queue_event(f, 0);
	fx_queue_event(f, 0);
	CU_ASSERT_EQUAL(take(fd), 0);
	CU_ASSERT_TRUE(fx_pending(f, 1));
	fx_vector_mask(f, 1, false);
	CU_ASSERT_EQUAL(take(fd), 1);
	CU_ASSERT_EQUAL(total(f), 0);
	vio_pci_reset(f->pci); /* the eventfd stays */
	fx_msix_on(f);
	fx_map_queue(f, 0, 1);
	fx_queue_event(f, 0);
	CU_ASSERT_EQUAL(take(fd), 1);
	CU_ASSERT_EQUAL(vio_pci_set_vector_fd(f->pci, 1, -1), 0);
	fx_queue_event(f, 0);
	CU_ASSERT_EQUAL(f->n_msi[1], 1);
	fx_free(f);
	close(fd);
}

/* Device reset and queue reset make pending interrupts void. */
static void test_pending_reset(void)
{
	struct fx *f = fx_new();

	fx_msix_on(f);
	fx_map_queue(f, 0, 1);
	fx_vector_mask(f, 1, true);
	fx_queue_event(f, 0);
	CU_ASSERT_TRUE(fx_pending(f, 1));
	fx_status(f, 0);
	CU_ASSERT_FALSE(fx_pending(f, 1));
	fx_vector_mask(f, 1, false);
	CU_ASSERT_EQUAL(total(f), 0);
	CU_ASSERT_EQUAL(bar_get(f, 1, 16 + PCI_MSIX_ENTRY_DATA, 4), 0x4001); /* the table stays */

	fx_negotiate(f, UINT64_C(1) << VIRTIO_F_RING_RESET);
	for (uint16_t q = 0; q < FX_QUEUES; q++) {
		fx_map_queue(f, q, q == 2 ? 3 : 2); /* 0 and 1 share */
		fx_place_queue(f, q);
		fx_vector_mask(f, q == 2 ? 3 : 2, true);
		fx_queue_event(f, q);
	}
	com_set(f, VIRTIO_PCI_COMMON_Q_SELECT, 2, 2);
	com_set(f, VIRTIO_PCI_COMMON_Q_RESET, 2, 1);
	CU_ASSERT_FALSE(fx_pending(f, 3));
	com_set(f, VIRTIO_PCI_COMMON_Q_SELECT, 2, 0);
	com_set(f, VIRTIO_PCI_COMMON_Q_RESET, 2, 1);
	CU_ASSERT_TRUE(fx_pending(f, 2)); /* may be queue 1's */
	com_set(f, VIRTIO_PCI_COMMON_Q_SELECT, 2, 1);
	com_set(f, VIRTIO_PCI_COMMON_Q_RESET, 2, 1);
	CU_ASSERT_FALSE(fx_pending(f, 2));
	fx_free(f);
}

/* Table accesses of every width and alignment touch the bytes they name and no others. */
static void test_table_access(void)
{
	struct fx *f = fx_new_with(2);
	uint8_t model[32 + 8] = {[12] = 1, [28] = 1}; /* masked */

	for (uint64_t off = 0; off < 32; off++) {
		for (size_t len = 1; len <= 8; len *= 2) {
			const uint64_t v = 0xf0e1d2c3b4a59687 * (off + 1) + len;

			bar_set(f, 1, off, len, v);
			if (off + len > 32) {
				CU_ASSERT_EQUAL(bar_get(f, 1, off, len), 0);
				continue; /* over the end: no access at all */
			}
			fx_store(model + off, len, v);
			for (unsigned e = 0; e < 32; e += 16) {
				model[e] &= 0xfc;   /* an address is a multiple of 4 */
				model[e + 12] &= 1; /* control is one bit */
				memset(model + e + 13, 0, 3);
			}
			for (uint64_t i = 0; i < 32; i++)
				CU_ASSERT_EQUAL(bar_get(f, 1, i, 1), model[i]);
			CU_ASSERT_EQUAL(bar_get(f, 1, off, len), fx_load(model + off, len));
		}
	}
	fx_free(f);
}

/* The pending bits: read-only, any width, 0 past the last vector. */
static void test_pba_access(void)
{
	struct fx *f = fx_new_with(70);
	const uint32_t pba = cfg_get(f, fx_cap(f, PCI_CAP_ID_MSIX, 0, 0) + PCI_MSIX_PBA, 4) & ~7u;

	fx_command(f, PCI_COMMAND_MASTER);
	fx_msix_control(f, PCI_MSIX_FLAGS_ENABLE);
	for (uint16_t i = 0; i < FX_QUEUES; i++) {
		static const uint16_t vectors[] = {1, 38, 69};

		fx_map_queue(f, i, vectors[i]);
		fx_queue_event(f, i);
	}
	CU_ASSERT_EQUAL(bar_get(f, 1, pba, 8), UINT64_C(1) << 1 | UINT64_C(1) << 38);
	CU_ASSERT_EQUAL(bar_get(f, 1, pba + 8, 8), 1 << 5);
	CU_ASSERT_EQUAL(bar_get(f, 1, pba + 4, 4), 1 << 6);
	CU_ASSERT_EQUAL(bar_get(f, 1, pba, 2), 1 << 1);
	CU_ASSERT_EQUAL(bar_get(f, 1, pba + 3, 2), 0x4000);
	CU_ASSERT_EQUAL(bar_get(f, 1, pba + 16, 8), 0);
	CU_ASSERT_EQUAL(bar_get(f, 1, pba + 4095, 8), 0);
	bar_set(f, 1, pba, 8, 0);
	bar_set(f, 1, pba + 8, 8, UINT64_MAX);
	CU_ASSERT_EQUAL(bar_get(f, 1, pba, 8), UINT64_C(1) << 1 | UINT64_C(1) << 38);
	CU_ASSERT_EQUAL(bar_get(f, 1, pba + 8, 8), 1 << 5);
	fx_free(f);
}

static CU_TestInfo tests[] = {
	{"PCI-DEV-048..051 ISR", test_isr},
	{"PCI-DEV-001 interrupt disable", test_interrupt_disable},
	{"PCI-DEV-048 ISR with MSI-X", test_isr_with_msix},
	{"reset lowers INTx", test_intx_reset},
	{"INTx eventfd", test_intx_fd},
	{"PCI-DEV-075..080 mapping", test_mapping},
	{"PCI-DEV-081,083 delivery", test_delivery},
	{"vector mask", test_vector_mask},
	{"function mask, enable, bus master", test_function_mask},
	{"vector_changed", test_vector_changed},
	{"event during vector_changed", test_event_during_change},
	{"vector eventfd", test_vector_fd},
	{"reset and pending bits", test_pending_reset},
	{"table access", test_table_access},
	{"pending bit access", test_pba_access},
	CU_TEST_INFO_NULL,
};

int main(void)
{
	return suite_run("pci interrupts", tests);
}
