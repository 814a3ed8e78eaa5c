/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VIODM_PCI_INTERNAL_H
#define VIODM_PCI_INTERNAL_H

/*
 * What the files of the virtio-pci transport share.
 *
 *   pci.c         the function as an object: create, reset, destroy, which BAR access goes where
 *   pci_cap.c     configuration space as it is built: header, BAR registers, capabilities
 *   pci_config.c  configuration space at work: accesses, BARs that move, PCI_CFG window
 *   pci_common.c  the common configuration structure
 *   pci_irq.c     ISR, INTx, and how a queue or configuration event picks its interrupt
 *   pci_msix.c    MSI-X vectors: table, pending bits, masking, delivery
 *
 * Locks, all leaves: none is taken inside another, and none is held while a hook or a function of
 * device.h runs (other than those that read constants). So a hook may take any lock of the VMM, and
 * the device may interrupt with its own lock held.
 *
 *   config_lock   configuration space bytes, what bar_changed() was told
 *   irq_lock      ISR, INTx level, intx_fd
 *   vector lock   one of each MSI-X vector; held while its eventfd is signalled
 *
 * A hook that reports state (bar_changed, intx, vector_changed) must be called in the order of the
 * changes though no lock is held during the call. So each of them has one teller at a time: the
 * thread that finds nobody telling calls the hook until what was told is what is; a thread that
 * finds a teller leaves the news to it. `telling` says that there is one.
 */

#include <pthread.h>
#include <stdatomic.h>

#include <linux/virtio_pci.h>

#include <viodm/pci.h>
#include <viodm/transport.h>

/* Fields of the PCI_CFG window, from the start of its capability. */
#define WINDOW_BAR    offsetof(struct virtio_pci_cfg_cap, cap.bar)
#define WINDOW_OFFSET offsetof(struct virtio_pci_cfg_cap, cap.offset)
#define WINDOW_LENGTH offsetof(struct virtio_pci_cfg_cap, cap.length)
#define WINDOW_DATA   offsetof(struct virtio_pci_cfg_cap, pci_cfg_data)

enum pci_bar_index { PCI_BAR_REGS = 0, PCI_BAR_MSIX = 1, PCI_BAR_SHM = 2 };

/* Layout of BAR 0: a page for each structure, so a VMM can treat each page in its own way. */
#define PCI_COMMON_OFFSET 0x0000
#define PCI_COMMON_LENGTH 64
#define PCI_ISR_OFFSET	  0x1000
#define PCI_ISR_LENGTH	  4
#define PCI_NOTIFY_OFFSET 0x2000
#define PCI_NOTIFY_STRIDE 4 /* notify_off_multiplier */
#define PCI_DEVICE_OFFSET 0x3000

#define PCI_PAGE	   4096u
#define PCI_MAX_VECTORS	   2048
#define PCI_MAX_SHM	   3 /* what fits into 256 bytes of configuration space */
#define PCI_MAX_SHM_LENGTH (UINT64_C(1) << 60)

/* Bits of vio_pci.irq_flags: what configuration space says about interrupts. */
enum pci_irq_flag {
	PCI_IRQ_MSIX = 1,     /* MSI-X Enable */
	PCI_IRQ_MASKALL = 2,  /* MSI-X Function Mask */
	PCI_IRQ_MASTER = 4,   /* Bus Master Enable */
	PCI_IRQ_INTX_OFF = 8, /* Interrupt Disable */
};

struct pci_bar {
	uint64_t size; /* 0: absent */
	bool is64;
	uint64_t told_address; /* what bar_changed() was told last */
	bool told_enabled;
};

struct pci_shm {
	const struct vio_shm *shm;
	uint64_t offset; /* in PCI_BAR_SHM */
};

struct msix_vector {
	pthread_mutex_t lock;
	uint32_t word[4];	    /* table entry: address low, address high, data, control */
	struct vio_pci_vector told; /* what vector_changed() was told last; the message to send */
	int fd;
	bool telling;
	bool armed; /* messages may go out: unmasked, and the VMM was told the message */
	bool pending;
};

struct vio_pci {
	struct vio_transport transport;
	struct vio_pci_hooks hooks;
	uint16_t n_queues;
	uint16_t n_vectors;
	uint32_t pba_offset; /* in PCI_BAR_MSIX */
	unsigned n_shm;
	struct pci_shm shm[PCI_MAX_SHM];

	/* selectors of the common configuration structure, each used alone */
	_Atomic uint32_t device_feature_select;
	_Atomic uint32_t driver_feature_select;
	_Atomic uint16_t queue_select;

	pthread_mutex_t config_lock;
	uint8_t config[VIO_PCI_CONFIG_SIZE];
	uint8_t writable[VIO_PCI_CONFIG_SIZE]; /* bits the driver may change; all reset to 0 */
	struct pci_bar bar[VIO_PCI_N_BARS];
	bool telling_bars;
	uint8_t msix_cap;   /* offsets of capabilities; 0: absent */
	uint8_t window_cap; /* VIRTIO_PCI_CAP_PCI_CFG */

	_Atomic unsigned irq_flags; /* pci_irq_flag; changed under config_lock */

	pthread_mutex_t irq_lock;
	uint8_t isr;
	bool intx_level; /* what intx() was told last */
	bool intx_telling;
	int intx_fd;

	_Atomic uint16_t config_vector;
	_Atomic uint16_t *queue_vector;
	struct msix_vector *vectors;
};

/* A register value of 1..4 bytes from and to a little-endian buffer. */
static inline uint32_t pci_load(const void *buf, size_t len)
{
	const uint8_t *b = (const uint8_t *)buf;
	uint32_t v = 0;

	for (size_t i = 0; i < len; i++)
		v |= (uint32_t)b[i] << (8 * i);
	return v;
}

static inline void pci_store(void *buf, size_t len, uint32_t v)
{
	uint8_t *b = (uint8_t *)buf;

	for (size_t i = 0; i < len; i++)
		b[i] = (uint8_t)(v >> (8 * i));
}

/* pci_cap.c: fills the configuration space; sizes, queues, vectors and shm are known. 0 or -EINVAL.
 */
int vio_pci_config_init(struct vio_pci *pci, const struct vio_pci_config *cfg);

/* pci_config.c */
/* Back to power-on; the hooks learn of it. */
void vio_pci_config_reset(struct vio_pci *pci);

/* pci_common.c: one access of 1, 2 or 4 bytes. */
uint32_t vio_pci_common_read(struct vio_pci *pci, uint32_t off, size_t len);
void vio_pci_common_write(struct vio_pci *pci, uint32_t off, size_t len, uint32_t v);

/* pci_irq.c */
void vio_pci_queue_interrupt(struct vio_transport *t, uint16_t index);
void vio_pci_config_interrupt(struct vio_transport *t);
/* The ISR register: reads and clears. */
uint8_t vio_pci_isr_read(struct vio_pci *pci);
/* Interrupt Status of the PCI status register. */
bool vio_pci_intx_pending(struct vio_pci *pci);
/* irq_flags changed: drives the line to its new level. */
void vio_pci_intx_settle(struct vio_pci *pci);

/* pci_msix.c */
int vio_msix_init(struct vio_pci *pci);
void vio_msix_fini(struct vio_pci *pci);
/* An event for the vector: goes out, or becomes pending. */
void vio_msix_fire(struct vio_pci *pci, uint16_t vector);
void vio_msix_clear_pending(struct vio_pci *pci, uint16_t vector);
/* irq_flags changed: every vector's mask may have. */
void vio_msix_settle(struct vio_pci *pci);
/* Power-on: all entries zero and masked, nothing pending. irq_flags say so already. */
void vio_msix_reset(struct vio_pci *pci);
/* Accesses of 1, 2, 4 or 8 bytes in PCI_BAR_MSIX; `buf` is zeroed. */
void vio_msix_read(struct vio_pci *pci, uint64_t off, uint8_t *buf, size_t len);
void vio_msix_write(struct vio_pci *pci, uint64_t off, const uint8_t *buf, size_t len);

#endif
