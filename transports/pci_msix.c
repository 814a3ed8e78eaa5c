/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * MSI-X: the vector table, the pending bit array, masking and delivery.
 *
 * No interrupt is lost and none goes out with a stale message, however table writes on vCPU threads
 * and events on loop threads interleave:
 *
 *   - "may it go out" (armed) and "it has to go out later" (pending) are decided under the vector's
 *     lock, so an event either goes out, or is seen by the unmask that comes after it.
 *   - A vector that gets masked or gets another message is disarmed first and the VMM told then; it
 *     is armed after vector_changed() returned. An event in between becomes pending, and goes out
 *     when the VMM has the new route.
 */
#include <viodm/defect.h>
#include "pci_internal.h"

#include <errno.h>
#include <linux/pci_regs.h>
#include <stdlib.h>

/* What a dword of a table entry keeps of a write; the rest is reserved and reads 0. */
static const uint32_t msix_writable[4] = {0xfffffffc, 0xffffffff, 0xffffffff,
					  PCI_MSIX_ENTRY_CTRL_MASKBIT};

int vio_msix_init(struct vio_pci *pci)
{
	if (pci->n_vectors == 0)
		return 0;
	pci->vectors = calloc(pci->n_vectors, sizeof(*pci->vectors));
	if (!pci->vectors)
		return -ENOMEM;
	for (uint16_t i = 0; i < pci->n_vectors; i++) {
		struct msix_vector *v = &pci->vectors[i];

		pthread_mutex_init(&v->lock, NULL);
		v->word[3] = PCI_MSIX_ENTRY_CTRL_MASKBIT;
		v->told.masked = true;
		v->fd = -1;
	}
	return 0;
}

void vio_msix_fini(struct vio_pci *pci)
{
	for (uint16_t i = 0; pci->vectors && i < pci->n_vectors; i++)
		pthread_mutex_destroy(&pci->vectors[i].lock);
	free(pci->vectors);
}

/* The vector as its entry and configuration space describe it now. */
static struct vio_pci_vector msix_view(struct vio_pci *pci, const struct msix_vector *v)
{
	const unsigned flags = atomic_load(&pci->irq_flags);
	const bool on = (flags & (PCI_IRQ_MSIX | PCI_IRQ_MASKALL | PCI_IRQ_MASTER)) ==
			(PCI_IRQ_MSIX | PCI_IRQ_MASTER);

	return (struct vio_pci_vector){
		.address = (uint64_t)v->word[1] << 32 | v->word[0],
		.data = v->word[2],
		.masked = !on || (v->word[3] & PCI_MSIX_ENTRY_CTRL_MASKBIT),
	};
}

static bool msix_same(const struct vio_pci_vector *a, const struct vio_pci_vector *b)
{
	if (a->masked || b->masked)
		return a->masked == b->masked; /* nobody needs the message of a masked vector */
	return a->address == b->address && a->data == b->data;
}

/* Sends the message. Called with the vector's lock, which it drops before it calls out. */
static void msix_send_unlock(struct vio_pci *pci, uint16_t vector)
{
	struct msix_vector *v = &pci->vectors[vector];
	const struct vio_pci_vector message = v->told;
	const int fd = v->fd;

	v->pending = false;
	/* Under the lock, so that nobody uses an old fd once vio_pci_set_vector_fd() returned. */
	if (fd >= 0)
		vio_event_signal(fd);
	pthread_mutex_unlock(&v->lock);
	if (fd < 0)
		pci->hooks.msi(pci->hooks.arg, vector, message.address, message.data);
}

/*
 * The vector's entry or irq_flags changed: disarms it, tells the VMM, arms it, sends what is
 * pending. Called with the vector's lock; drops it.
 *
 * irq_flags are read here after the writer stored them: a teller on another thread either sees them
 * in its last look, or had ended before the writer came to take the lock, and the writer tells.
 */
static void msix_settle_unlock(struct vio_pci *pci, uint16_t vector)
{
	struct msix_vector *v = &pci->vectors[vector];
	struct vio_pci_vector now = msix_view(pci, v);

	if (v->telling) {
		pthread_mutex_unlock(&v->lock);
		return;
	}
	v->telling = true;
	while (!msix_same(&v->told, &now)) {
		v->armed = false;
		v->told = now;
		if (pci->hooks.vector_changed) {
			pthread_mutex_unlock(&v->lock);
			pci->hooks.vector_changed(pci->hooks.arg, vector, &now);
			pthread_mutex_lock(&v->lock);
		}
		now = msix_view(pci, v);
	}
	v->telling = false;
	v->armed = !v->told.masked;
	if (v->armed && v->pending)
		msix_send_unlock(pci, vector);
	else
		pthread_mutex_unlock(&v->lock);
}

void vio_msix_fire(struct vio_pci *pci, uint16_t vector)
{
	struct msix_vector *v = &pci->vectors[vector];

	pthread_mutex_lock(&v->lock);
	if (v->armed) {
		msix_send_unlock(pci, vector);
		return;
	}
	v->pending = !VIO_DEFECT("msix-masked-lost");
	pthread_mutex_unlock(&v->lock);
}

void vio_msix_clear_pending(struct vio_pci *pci, uint16_t vector)
{
	struct msix_vector *v = &pci->vectors[vector];

	pthread_mutex_lock(&v->lock);
	v->pending = false;
	pthread_mutex_unlock(&v->lock);
}

void vio_msix_settle(struct vio_pci *pci)
{
	for (uint16_t i = 0; i < pci->n_vectors; i++) {
		pthread_mutex_lock(&pci->vectors[i].lock);
		msix_settle_unlock(pci, i);
	}
}

void vio_msix_reset(struct vio_pci *pci)
{
	for (uint16_t i = 0; i < pci->n_vectors; i++) {
		struct msix_vector *v = &pci->vectors[i];

		pthread_mutex_lock(&v->lock);
		v->word[0] = v->word[1] = v->word[2] = 0;
		v->word[3] = PCI_MSIX_ENTRY_CTRL_MASKBIT;
		v->pending = false;
		msix_settle_unlock(pci, i);
	}
}

int vio_pci_set_vector_fd(struct vio_pci *pci, uint16_t vector, int fd)
{
	struct msix_vector *v;

	if (vector >= pci->n_vectors)
		return -EINVAL;
	v = &pci->vectors[vector];
	pthread_mutex_lock(&v->lock);
	v->fd = fd < 0 ? -1 : fd;
	pthread_mutex_unlock(&v->lock);
	return 0;
}

/* ---- BAR 1 ----------------------------------------------------------------------------------- */

static uint8_t msix_table_byte(struct vio_pci *pci, uint64_t off)
{
	struct msix_vector *v = &pci->vectors[off / PCI_MSIX_ENTRY_SIZE];
	uint32_t word;

	pthread_mutex_lock(&v->lock);
	word = v->word[off % PCI_MSIX_ENTRY_SIZE / 4];
	pthread_mutex_unlock(&v->lock);
	return (uint8_t)(word >> (off % 4 * 8));
}

static uint8_t msix_pending_byte(struct vio_pci *pci, uint64_t off)
{
	uint8_t bits = 0;

	for (unsigned i = 0; i < 8 && off * 8 + i < pci->n_vectors; i++) {
		struct msix_vector *v = &pci->vectors[off * 8 + i];

		pthread_mutex_lock(&v->lock);
		bits |= (uint8_t)((v->pending && !VIO_DEFECT("msix-pending-hidden")) << i);
		pthread_mutex_unlock(&v->lock);
	}
	return bits;
}

static uint64_t msix_table_size(const struct vio_pci *pci)
{
	return (uint64_t)pci->n_vectors * PCI_MSIX_ENTRY_SIZE;
}

void vio_msix_read(struct vio_pci *pci, uint64_t off, uint8_t *buf, size_t len)
{
	if (vio_range_ok(off, len, msix_table_size(pci))) {
		for (size_t i = 0; i < len; i++)
			buf[i] = msix_table_byte(pci, off + i);
	} else if (off >= pci->pba_offset && off - pci->pba_offset < PCI_PAGE) {
		for (size_t i = 0; i < len; i++)
			buf[i] = msix_pending_byte(pci, off - pci->pba_offset + i);
	}
}

/*
 * PCI lets a driver write whole dwords and qwords only. Here each dword that a write touches takes
 * the bytes written to it and has its effect, in ascending order.
 */
void vio_msix_write(struct vio_pci *pci, uint64_t off, const uint8_t *buf, size_t len)
{
	if (!vio_range_ok(off, len, msix_table_size(pci)))
		return;
	while (len > 0) {
		const uint16_t vector = (uint16_t)(off / PCI_MSIX_ENTRY_SIZE);
		const unsigned index = (unsigned)(off % PCI_MSIX_ENTRY_SIZE / 4);
		const unsigned start = (unsigned)(off % 4);
		const size_t n = len < 4 - start ? len : 4 - start;
		const uint32_t mask = msix_writable[index] & (uint32_t)(~0ull >> (64 - 8 * n))
								     << (8 * start);
		struct msix_vector *v = &pci->vectors[vector];

		pthread_mutex_lock(&v->lock);
		v->word[index] =
			(v->word[index] & ~mask) | (pci_load(buf, n) << (8 * start) & mask);
		msix_settle_unlock(pci, vector);
		off += n;
		buf += n;
		len -= n;
	}
}
