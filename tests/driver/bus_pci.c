/* SPDX-License-Identifier: BSD-3-Clause */
#include <driver/bus_pci.h>

#include <errno.h>
#include <linux/pci_regs.h>
#include <stdlib.h>

#define N_CFG_TYPES 6
#define MAX_VECTORS 2048
#define MAX_CAPS    64 /* 256 bytes of configuration space hold no more */

#define MSI_ADDRESS	 0xfee00000u
#define MSI_DATA(vector) (0x4000u + (vector))

#define ISR_QUEUE  0x1u
#define ISR_CONFIG 0x2u

struct pci_bus {
	struct drv_bus bus;
	struct vio_pci *pci;
	struct drv_pci_cap cap[N_CFG_TYPES];
	uint32_t notify_multiplier;
	uint8_t msix_cap;
	uint16_t n_vectors;
	struct drv_pci_cap msix_table; /* bar and offset */
	struct drv_pci_cap msix_pba;
	uint16_t n_queues; /* whose interrupts were set up */
	bool msix;	   /* and they use MSI-X */
	_Atomic uint32_t message[MAX_VECTORS];
	uint32_t seen[MAX_VECTORS]; /* of message[], collected */
	_Atomic uint32_t stray;	    /* messages with a wrong address or data */
};

static struct pci_bus *pci_bus(struct drv_bus *bus)
{
	return vio_container_of(bus, struct pci_bus, bus);
}

struct vio_pci *drv_pci_transport(struct drv_bus *bus)
{
	return pci_bus(bus)->pci;
}

const struct drv_pci_cap *drv_pci_cap(struct drv_bus *bus, unsigned cfg_type)
{
	return &pci_bus(bus)->cap[cfg_type];
}

uint32_t drv_pci_notify_multiplier(struct drv_bus *bus)
{
	return pci_bus(bus)->notify_multiplier;
}

uint16_t drv_pci_n_vectors(struct drv_bus *bus)
{
	return pci_bus(bus)->n_vectors;
}

uint32_t drv_pci_messages(struct drv_bus *bus, uint16_t vector)
{
	return pci_bus(bus)->message[vector];
}

uint32_t drv_pci_stray_messages(struct drv_bus *bus)
{
	return pci_bus(bus)->stray;
}

/* ---- accesses ----------------------------------------------------------------------------------
 */

static uint32_t from_le(const uint8_t *b, uint32_t len)
{
	uint32_t v = 0;

	for (uint32_t i = 0; i < len; i++)
		v |= (uint32_t)b[i] << (8 * i);
	return v;
}

static void to_le(uint8_t *b, uint32_t len, uint32_t v)
{
	for (uint32_t i = 0; i < len; i++)
		b[i] = (uint8_t)(v >> (8 * i));
}

uint32_t drv_pci_config_get(struct drv_bus *bus, uint32_t off, uint32_t len)
{
	uint8_t b[4] = {0};

	vio_pci_config_read(pci_bus(bus)->pci, off, b, len);
	return from_le(b, len);
}

void drv_pci_config_set(struct drv_bus *bus, uint32_t off, uint32_t len, uint32_t value)
{
	uint8_t b[4];

	to_le(b, len, value);
	vio_pci_config_write(pci_bus(bus)->pci, off, b, len);
}

static uint32_t bar_get(struct pci_bus *pb, unsigned bar, uint64_t off, uint32_t len)
{
	uint8_t b[4] = {0};

	vio_pci_bar_read(pb->pci, bar, off, b, len);
	return from_le(b, len);
}

static void bar_set(struct pci_bus *pb, unsigned bar, uint64_t off, uint32_t len, uint32_t value)
{
	uint8_t b[4];

	to_le(b, len, value);
	vio_pci_bar_write(pb->pci, bar, off, b, len);
}

uint32_t drv_pci_get(struct drv_bus *bus, unsigned cfg_type, uint32_t off, uint32_t len)
{
	const struct drv_pci_cap *c = drv_pci_cap(bus, cfg_type);

	return bar_get(pci_bus(bus), c->bar, c->offset + off, len);
}

void drv_pci_set(struct drv_bus *bus, unsigned cfg_type, uint32_t off, uint32_t len, uint32_t value)
{
	const struct drv_pci_cap *c = drv_pci_cap(bus, cfg_type);

	bar_set(pci_bus(bus), c->bar, c->offset + off, len, value);
}

/* ---- enumeration -------------------------------------------------------------------------------
 */

/* Calls visit() for every capability of the list. Returns -EPROTO when the list does not end. */
static int walk_caps(struct drv_bus *bus, void (*visit)(struct drv_bus *bus, uint8_t off))
{
	uint8_t at = (uint8_t)drv_pci_config_get(bus, PCI_CAPABILITY_LIST, 1);

	for (unsigned n = 0; at != 0; n++) {
		if (n == MAX_CAPS || at < 0x40 || at % 4 != 0)
			return -EPROTO;
		visit(bus, at);
		at = (uint8_t)drv_pci_config_get(bus, at + PCI_CAP_LIST_NEXT, 1);
	}
	return 0;
}

uint8_t drv_pci_find_cap(struct drv_bus *bus, uint8_t cap_id)
{
	uint8_t at = (uint8_t)drv_pci_config_get(bus, PCI_CAPABILITY_LIST, 1);

	for (unsigned n = 0; at != 0 && n < MAX_CAPS; n++) {
		if (drv_pci_config_get(bus, at, 1) == cap_id)
			return at;
		at = (uint8_t)drv_pci_config_get(bus, at + PCI_CAP_LIST_NEXT, 1);
	}
	return 0;
}

/* A vendor capability of a virtio function; the first of each type counts (PCI-DRV-008). */
static void visit_virtio(struct drv_bus *bus, uint8_t off)
{
	struct pci_bus *pb = pci_bus(bus);
	uint32_t type = drv_pci_config_get(bus, off + 3u, 1);
	uint32_t bar = drv_pci_config_get(bus, off + 4u, 1);

	if (type == 0 || type >= N_CFG_TYPES || bar >= VIO_PCI_N_BARS || pb->cap[type].config_off)
		return;
	pb->cap[type] = (struct drv_pci_cap){.config_off = off,
					     .bar = (uint8_t)bar,
					     .id = (uint8_t)drv_pci_config_get(bus, off + 5u, 1),
					     .offset = drv_pci_config_get(bus, off + 8u, 4),
					     .length = drv_pci_config_get(bus, off + 12u, 4)};
	if (type == VIRTIO_PCI_CAP_NOTIFY_CFG)
		pb->notify_multiplier = drv_pci_config_get(bus, off + 16u, 4);
}

static void visit_msix(struct drv_bus *bus, uint8_t off)
{
	struct pci_bus *pb = pci_bus(bus);
	uint32_t table = drv_pci_config_get(bus, off + PCI_MSIX_TABLE, 4);
	uint32_t pba = drv_pci_config_get(bus, off + PCI_MSIX_PBA, 4);
	uint32_t flags = drv_pci_config_get(bus, off + PCI_MSIX_FLAGS, 2);

	pb->msix_cap = off;
	pb->n_vectors = (uint16_t)((flags & PCI_MSIX_FLAGS_QSIZE) + 1);
	pb->msix_table.bar = table & PCI_MSIX_TABLE_BIR;
	pb->msix_table.offset = table & PCI_MSIX_TABLE_OFFSET;
	pb->msix_pba.bar = pba & PCI_MSIX_PBA_BIR;
	pb->msix_pba.offset = pba & PCI_MSIX_PBA_OFFSET;
}

static void visit_cap(struct drv_bus *bus, uint8_t off)
{
	uint32_t id = drv_pci_config_get(bus, off, 1);

	if (id == PCI_CAP_ID_VNDR)
		visit_virtio(bus, off);
	else if (id == PCI_CAP_ID_MSIX)
		visit_msix(bus, off);
}

/* Sizes BAR `i` the way software does and gives it an address. Returns how many BARs it takes. */
static unsigned place_bar(struct drv_bus *bus, unsigned i)
{
	uint32_t off = PCI_BASE_ADDRESS_0 + 4 * i;
	uint32_t low;
	bool wide;

	drv_pci_config_set(bus, off, 4, UINT32_MAX);
	low = drv_pci_config_get(bus, off, 4);
	if (low == 0)
		return 1;
	wide = (low & PCI_BASE_ADDRESS_MEM_TYPE_MASK) == PCI_BASE_ADDRESS_MEM_TYPE_64;
	drv_pci_config_set(bus, off, 4, DRV_PCI_BAR_BASE + i * DRV_PCI_BAR_STEP);
	if (wide)
		drv_pci_config_set(bus, off + 4, 4, 0);
	return wide ? 2 : 1;
}

static int enumerate(struct drv_bus *bus)
{
	struct pci_bus *pb = pci_bus(bus);

	if (drv_pci_config_get(bus, PCI_VENDOR_ID, 2) != 0x1af4 ||
	    !(drv_pci_config_get(bus, PCI_STATUS, 2) & PCI_STATUS_CAP_LIST))
		return -EPROTO;
	for (unsigned i = 0; i < VIO_PCI_N_BARS;)
		i += place_bar(bus, i);
	drv_pci_config_set(bus, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	if (walk_caps(bus, visit_cap) < 0)
		return -EPROTO;
	if (!pb->cap[VIRTIO_PCI_CAP_COMMON_CFG].length ||
	    !pb->cap[VIRTIO_PCI_CAP_NOTIFY_CFG].length || !pb->cap[VIRTIO_PCI_CAP_ISR_CFG].length)
		return -EPROTO;
	return 0;
}

/* ---- registers ---------------------------------------------------------------------------------
 */

static uint32_t common_get(struct drv_bus *bus, uint32_t off, uint32_t len)
{
	return drv_pci_get(bus, VIRTIO_PCI_CAP_COMMON_CFG, off, len);
}

static void common_set(struct drv_bus *bus, uint32_t off, uint32_t len, uint32_t value)
{
	drv_pci_set(bus, VIRTIO_PCI_CAP_COMMON_CFG, off, len, value);
}

/* A register of the common configuration: where, how wide, and the selector that goes before. */
struct common_reg {
	uint8_t off;
	uint8_t len;
	uint8_t select;
	uint8_t select_len;
};

static struct common_reg common_reg(enum drv_reg reg)
{
	static const struct common_reg table[] = {
		[DRV_STATUS] = {VIRTIO_PCI_COMMON_STATUS, 1, 0, 0},
		[DRV_OFFERED] = {VIRTIO_PCI_COMMON_DF, 4, VIRTIO_PCI_COMMON_DFSELECT, 4},
		[DRV_ACCEPTED] = {VIRTIO_PCI_COMMON_GF, 4, VIRTIO_PCI_COMMON_GFSELECT, 4},
		[DRV_GENERATION] = {VIRTIO_PCI_COMMON_CFGGENERATION, 1, 0, 0},
		[DRV_QUEUE_MAX] = {VIRTIO_PCI_COMMON_Q_SIZE, 2, VIRTIO_PCI_COMMON_Q_SELECT, 2},
		[DRV_QUEUE_SIZE] = {VIRTIO_PCI_COMMON_Q_SIZE, 2, VIRTIO_PCI_COMMON_Q_SELECT, 2},
		[DRV_QUEUE_DESC] = {VIRTIO_PCI_COMMON_Q_DESCLO, 8, VIRTIO_PCI_COMMON_Q_SELECT, 2},
		[DRV_QUEUE_DRIVER] = {VIRTIO_PCI_COMMON_Q_AVAILLO, 8, VIRTIO_PCI_COMMON_Q_SELECT,
				      2},
		[DRV_QUEUE_DEVICE] = {VIRTIO_PCI_COMMON_Q_USEDLO, 8, VIRTIO_PCI_COMMON_Q_SELECT, 2},
		[DRV_QUEUE_ENABLE] = {VIRTIO_PCI_COMMON_Q_ENABLE, 2, VIRTIO_PCI_COMMON_Q_SELECT, 2},
		[DRV_QUEUE_RESET] = {VIRTIO_PCI_COMMON_Q_RESET, 2, VIRTIO_PCI_COMMON_Q_SELECT, 2},
	};

	return table[reg];
}

static struct common_reg select_reg(struct drv_bus *bus, enum drv_reg reg, uint32_t index)
{
	struct common_reg r = common_reg(reg);

	if (r.select_len != 0)
		common_set(bus, r.select, r.select_len, index);
	return r;
}

static uint64_t pci_get(struct drv_bus *bus, enum drv_reg reg, uint32_t index)
{
	struct common_reg r;

	if (reg == DRV_DEVICE_ID)
		return drv_pci_config_get(bus, PCI_DEVICE_ID, 2) - 0x1040;
	r = select_reg(bus, reg, index);
	if (r.len == 8)
		return common_get(bus, r.off, 4) | (uint64_t)common_get(bus, r.off + 4u, 4) << 32;
	return common_get(bus, r.off, r.len);
}

static void pci_set(struct drv_bus *bus, enum drv_reg reg, uint32_t index, uint64_t value)
{
	struct common_reg r = select_reg(bus, reg, index);

	common_set(bus, r.off, r.len == 8 ? 4 : r.len, (uint32_t)value);
	if (r.len == 8)
		common_set(bus, r.off + 4u, 4, (uint32_t)(value >> 32));
}

static void pci_kick(struct drv_bus *bus, uint16_t queue)
{
	uint32_t off;

	common_set(bus, VIRTIO_PCI_COMMON_Q_SELECT, 2, queue);
	off = common_get(bus, VIRTIO_PCI_COMMON_Q_NOFF, 2) * drv_pci_notify_multiplier(bus);
	drv_pci_set(bus, VIRTIO_PCI_CAP_NOTIFY_CFG, off, bus->notify_data ? 4 : 2,
		    drv_notify_value(bus, queue));
}

static void pci_config_read(struct drv_bus *bus, uint32_t off, void *buf, uint32_t len)
{
	const struct drv_pci_cap *c = drv_pci_cap(bus, VIRTIO_PCI_CAP_DEVICE_CFG);

	vio_pci_bar_read(pci_bus(bus)->pci, c->bar, c->offset + off, buf, len);
}

static void pci_config_write(struct drv_bus *bus, uint32_t off, const void *buf, uint32_t len)
{
	const struct drv_pci_cap *c = drv_pci_cap(bus, VIRTIO_PCI_CAP_DEVICE_CFG);

	vio_pci_bar_write(pci_bus(bus)->pci, c->bar, c->offset + off, buf, len);
}

/* ---- interrupts --------------------------------------------------------------------------------
 */

static void on_msi(void *arg, uint16_t vector, uint64_t address, uint32_t data)
{
	struct pci_bus *pb = arg;

	if (address == MSI_ADDRESS && data == MSI_DATA(vector))
		pb->message[vector]++;
	else
		pb->stray++;
	pb->bus.n_irqs++;
}

static void on_intx(void *arg, bool level)
{
	struct pci_bus *pb = arg;

	if (level)
		pb->bus.n_irqs++;
	pb->bus.line = level;
}

void drv_pci_mask(struct drv_bus *bus, uint16_t vector, bool masked)
{
	struct pci_bus *pb = pci_bus(bus);
	uint64_t entry = pb->msix_table.offset + (uint64_t)vector * PCI_MSIX_ENTRY_SIZE;

	bar_set(pb, pb->msix_table.bar, entry + PCI_MSIX_ENTRY_VECTOR_CTRL, 4, masked);
}

bool drv_pci_pending(struct drv_bus *bus, uint16_t vector)
{
	struct pci_bus *pb = pci_bus(bus);
	uint32_t word = bar_get(pb, pb->msix_pba.bar, pb->msix_pba.offset + vector / 32 * 4u, 4);

	return word >> vector % 32 & 1;
}

static void program_vector(struct drv_bus *bus, uint16_t vector)
{
	struct pci_bus *pb = pci_bus(bus);
	uint64_t entry = pb->msix_table.offset + (uint64_t)vector * PCI_MSIX_ENTRY_SIZE;

	bar_set(pb, pb->msix_table.bar, entry + PCI_MSIX_ENTRY_LOWER_ADDR, 4, MSI_ADDRESS);
	bar_set(pb, pb->msix_table.bar, entry + PCI_MSIX_ENTRY_UPPER_ADDR, 4, 0);
	bar_set(pb, pb->msix_table.bar, entry + PCI_MSIX_ENTRY_DATA, 4, MSI_DATA(vector));
	drv_pci_mask(bus, vector, false);
}

/* The vector of a source: one each if there are enough, else config has 0 and queues share 1. */
static uint16_t vector_of(const struct pci_bus *pb, uint32_t source)
{
	if (source == DRV_IRQ_CONFIG)
		return 0;
	if (pb->n_vectors > pb->n_queues)
		return (uint16_t)(source + 1);
	return pb->n_vectors > 1 ? 1 : 0;
}

/* Maps the vectors and reads them back (PCI-DRV-043). */
static int map_vectors(struct drv_bus *bus)
{
	struct pci_bus *pb = pci_bus(bus);

	common_set(bus, VIRTIO_PCI_COMMON_MSIX, 2, vector_of(pb, DRV_IRQ_CONFIG));
	if (common_get(bus, VIRTIO_PCI_COMMON_MSIX, 2) != vector_of(pb, DRV_IRQ_CONFIG))
		return -EPROTO;
	for (uint16_t i = 0; i < pb->n_queues; i++) {
		common_set(bus, VIRTIO_PCI_COMMON_Q_SELECT, 2, i);
		common_set(bus, VIRTIO_PCI_COMMON_Q_MSIX, 2, vector_of(pb, i));
		if (common_get(bus, VIRTIO_PCI_COMMON_Q_MSIX, 2) != vector_of(pb, i))
			return -EPROTO;
	}
	return 0;
}

static int pci_irq_setup(struct drv_bus *bus, uint16_t n_queues)
{
	struct pci_bus *pb = pci_bus(bus);

	pb->n_queues = n_queues;
	pb->msix = pb->n_vectors > 0;
	if (!pb->msix)
		return 0;
	drv_pci_config_set(bus, pb->msix_cap + PCI_MSIX_FLAGS, 2, PCI_MSIX_FLAGS_ENABLE);
	for (uint16_t v = 0; v < pb->n_vectors; v++)
		program_vector(bus, v);
	return map_vectors(bus);
}

/* Interrupt pin: the ISR byte tells which kinds, and reading it acknowledges. */
static void collect_intx(struct pci_bus *pb)
{
	uint32_t isr = drv_pci_get(&pb->bus, VIRTIO_PCI_CAP_ISR_CFG, 0, 1);

	if (isr & ISR_CONFIG)
		pb->bus.irq[DRV_IRQ_CONFIG] = 1;
	for (uint16_t i = 0; (isr & ISR_QUEUE) && i < pb->n_queues; i++)
		pb->bus.irq[i] = 1;
}

static void pci_irq_collect(struct drv_bus *bus)
{
	struct pci_bus *pb = pci_bus(bus);
	uint32_t fresh[MAX_VECTORS];

	if (!pb->msix) {
		collect_intx(pb);
		return;
	}
	for (uint16_t v = 0; v < pb->n_vectors; v++) {
		uint32_t now = pb->message[v];

		fresh[v] = now - pb->seen[v];
		pb->seen[v] = now;
	}
	for (uint16_t i = 0; i < pb->n_queues; i++)
		bus->irq[i] += fresh[vector_of(pb, i)];
	bus->irq[DRV_IRQ_CONFIG] += fresh[vector_of(pb, DRV_IRQ_CONFIG)];
}

static void pci_destroy(struct drv_bus *bus)
{
	struct pci_bus *pb = pci_bus(bus);

	vio_pci_destroy(pb->pci);
	free(pb);
}

static const struct drv_bus_ops pci_bus_ops = {
	.name = "pci",
	.get = pci_get,
	.set = pci_set,
	.kick = pci_kick,
	.config_read = pci_config_read,
	.config_write = pci_config_write,
	.irq_setup = pci_irq_setup,
	.irq_collect = pci_irq_collect,
	.destroy = pci_destroy,
};

int drv_pci_create(struct vio_device *dev, uint16_t n_vectors, struct drv_bus **out)
{
	struct pci_bus *pb = calloc(1, sizeof(*pb));
	struct vio_pci_config cfg = {.hooks = {.msi = on_msi, .intx = on_intx, .arg = pb},
				     .n_vectors = n_vectors};
	int r;

	if (!pb)
		return -ENOMEM;
	pb->bus.ops = &pci_bus_ops;
	r = vio_pci_create(dev, &cfg, &pb->pci);
	if (r < 0) {
		free(pb);
		return r;
	}
	r = enumerate(&pb->bus);
	if (r < 0) {
		pci_destroy(&pb->bus);
		return r;
	}
	*out = &pb->bus;
	return 0;
}
